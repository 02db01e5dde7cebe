"""`python -m appliance` is `kleidi`."""

from appliance import hardening

hardening.unreadable()  # before the rest is imported, whatever the command

from appliance.cli import main

if __name__ == "__main__":
    main()
