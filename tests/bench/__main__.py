"""Print every figure with its aim beside it."""

import argparse
import platform
import tempfile
from collections.abc import Callable
from os import cpu_count, getloadavg
from pathlib import Path

import pytest

from tests.bench import boot, container, engines, kms, memory, outage, rotation, starts, usage


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--boots", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="of kms and starts")
    parser.add_argument("--whole", action="store_true", help="every section, and every case of kms")
    parser.add_argument("only", nargs="*", help="sections by name; those of a few minutes by default")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {cpu_count()} cores, load {getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        sections: dict[str, Callable[[], list[str]]] = {
            "kms": lambda: kms.rows(kms.measured(root, options.rounds, whole=options.whole), options.rounds),
            "starts": lambda: starts.rows(
                starts.measured(root / "starts", starts.MANY if options.whole else starts.FEW, options.rounds)
            ),
            "boot": lambda: boot.table(*boot.boots(root, options.boots)),
            "memory": lambda: memory.table(root / "memory", memory.MANY if options.whole else memory.FEW),
            "rotation": lambda: rotation.table(root),
            "container": container.table,
        }
        slow: dict[str, Callable[[], list[str]]] = {
            "usage": lambda: usage.table(root),
            "engines": lambda: engines.table(root),
            "outage": lambda: outage.table(root),
        }
        every = {**sections, **slow}
        for name in options.only or (every if options.whole else sections):
            try:
                rows = every[name]()
            except pytest.skip.Exception as why:  # a server that has no build for this platform
                rows = [f"{name}: not measured, {why}"]
            print("\n".join(rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
