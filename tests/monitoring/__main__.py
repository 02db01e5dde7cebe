"""`python -m tests.monitoring`: the rules are rules, and fire when they should (`make check`)."""

import sys
import tempfile
from pathlib import Path

from tests.monitoring import promtool


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            promtool.check(Path(scratch))
            promtool.unit_tests(Path(scratch))
        except AssertionError as error:
            sys.stdout.write(f"{error}\n")
            return 1
    count = sum(len(case.get("alert_rule_test", ())) for case in promtool.cases())
    sys.stdout.write(f"alerting rules are sound, and pass {count} tests\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
