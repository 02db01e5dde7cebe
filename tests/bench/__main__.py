"""Print every figure with its aim beside it."""

import argparse
import platform
import tempfile
from collections.abc import Callable
from os import cpu_count, getloadavg
from pathlib import Path

import pytest

from tests.bench import boot, container, engines, latency, memory, outage, rotation, usage


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--boots", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("only", nargs="*", help="sections by name; all of them by default")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {cpu_count()} cores, load {getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        sections: dict[str, Callable[[], list[str]]] = {
            "boot": lambda: boot.table(*boot.boots(root, options.boots)),
            "memory": lambda: memory.table(root),
            "latency": lambda: latency.table(root, options.calls),
            "rotation": lambda: rotation.table(root),
            "usage": lambda: usage.table(root),
            "engines": lambda: engines.table(root),
            "outage": lambda: outage.table(root),
            "container": container.table,
        }
        for name in options.only or sections:
            try:
                rows = sections[name]()
            except pytest.skip.Exception as why:  # a server that has no build for this platform
                rows = [f"{name}: not measured, {why}"]
            print("\n".join(rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
