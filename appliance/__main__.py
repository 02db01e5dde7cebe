"""`python -m appliance` is `kleidi`."""

from appliance.cli import main

if __name__ == "__main__":
    main()
