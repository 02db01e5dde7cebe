"""Prometheus' own check of the rules, and its unit tests of them."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from appliance.manifests.monitoring import rules
from tests.install.texts import read

CASES = Path(__file__).with_name("rules.test.yaml")


def check(directory: Path) -> str:
    """What promtool says of the rules; raises with its words where they are none."""
    return check_text(directory, rules.plain())


def check_text(directory: Path, text: str) -> str:
    path = directory / "checked.yaml"
    path.write_text(text)
    return _promtool("check", "rules", str(path))


def unit_tests(directory: Path) -> str:
    bare = read(rules.plain())
    for rule in bare["groups"][0]["rules"]:
        rule.pop("annotations", None)
    return run_cases(directory, yaml.safe_dump(bare), CASES.read_text())


def run_cases(directory: Path, text: str, cases: str) -> str:
    """Each evaluated as often as its series have values: a month by half minutes takes minutes."""
    (directory / "rules.yaml").write_text(text)
    wanted = read(cases)
    said = ""
    for interval in sorted({case["interval"] for case in wanted["tests"]}):
        those = [case for case in wanted["tests"] if case["interval"] == interval]
        path = directory / f"rules-{interval}.test.yaml"
        path.write_text(yaml.safe_dump({**wanted, "evaluation_interval": interval, "tests": those}))
        said += _promtool("test", "rules", str(path))
    return said


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(CASES.read_text())["tests"]
    return found


def _promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout
