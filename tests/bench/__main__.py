"""Print every figure with its aim beside it, and with --write keep it in docs/performance.md."""

import argparse
import datetime as dt
import platform
import tempfile
from collections.abc import Mapping
from os import cpu_count, getloadavg
from pathlib import Path

import pytest

from tests.bench.page.written import page, section
from tests.bench.sections import Measured, Section, sections
from tests.rig import CHECKOUT

_PAGE = CHECKOUT / "docs" / "performance.md"
_ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--boots", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of kms and starts")
    parser.add_argument("--whole", action="store_true", help="every section, and every case of each")
    parser.add_argument("--write", action="store_true", help=f"what was measured to {_PAGE.name}")
    parser.add_argument("only", nargs="*", help="sections by name; those of a few minutes by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        known = sections(Path(scratch), rounds=options.rounds, boots=options.boots, whole=options.whole)
        wanted = options.only or [name for name, each in known.items() if options.whole or not each.slow]
        for name in wanted:
            told = f"`{_command(options, name)}` on {_machine()}"
            measured = _measured(name, known[name])
            print(f"{told}\n\n" + "\n".join(measured.rows) + "\n", flush=True)
            if options.write:
                _write(name, known, told, measured)


def _command(options: argparse.Namespace, name: str) -> str:
    rounds = f" ROUNDS={options.rounds}" if options.rounds != _ROUNDS else ""
    return f"make bench ONLY={name}{' WHOLE=1' if options.whole else ''}{rounds}"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    where = f"{next(iter(models), platform.machine())}, {cpu_count()} cores, load {getloadavg()[0]:.1f}"
    kernel = ".".join(platform.release().split(".")[:2])
    today = dt.datetime.now(dt.UTC).date()
    return f"{today}, {where}, Linux {kernel}, Python {platform.python_version()}"


def _measured(name: str, wanted: Section) -> Measured:
    try:
        return wanted.measure()
    except pytest.skip.Exception as why:  # a server that has no build for this platform
        return Measured([f"{name}: not measured, {why}"])


def _write(name: str, known: Mapping[str, Section], told: str, measured: Measured) -> None:
    text = section(known[name].title, told, measured.rows, measured.draw(_PAGE.with_suffix("")))
    before = _PAGE.read_text() if _PAGE.exists() else ""
    _PAGE.write_text(page(before, {name: text}, known))


if __name__ == "__main__":
    main()
