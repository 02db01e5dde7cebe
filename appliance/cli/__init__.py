"""The command line: thin verbs; every error is one line on stderr and an exit code from the table."""

import sys

from appliance.cli import ending


def main() -> None:
    """Run one command; whatever it raises becomes one line and an exit code."""
    arguments = sys.argv[1:]
    with ending.told(arguments):
        if arguments[:1] in (["serve"], ["provision"]):
            from appliance.cli import programs

            # As the supervisor starts them; spelled otherwise, or asked for help, they are verbs like others.
            if program := programs.BY_WORDS.get(tuple(arguments)):
                sys.exit(program())
        # Half of a start: neither a server nor a provisioner needs it.
        from appliance.cli import verbs

        sys.exit(verbs.run(arguments))
