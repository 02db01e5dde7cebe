"""Print every figure with its aim beside it."""

import argparse
import platform
import tempfile
from os import cpu_count
from pathlib import Path

from tests.bench import boot, container, latency, memory, rotation, usage


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--boots", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3000)
    options = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        _show(boot.table(*boot.boots(root, options.boots)))
        _show(memory.table(root))
        _show(latency.table(root, options.calls))
        _show(rotation.table(root))
        _show(usage.table(root))
        _show(container.table())


def _show(rows: list[str]) -> None:
    print("\n".join(rows) + "\n", flush=True)


if __name__ == "__main__":
    main()
