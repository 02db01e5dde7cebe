"""`make faults`: every verb, in every way, at every step. Prints a table, and below it what did not hold.

Broken: something was lost, left over, or not said in one line. Untold: it was done, and said to have failed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.faults.matrix import Outcome, Scene
from tests.faults.site import shared_memory
from tests.faults.verbs import VERBS, Verb
from tests.faults.ways import EIO, ENOSPC, KILL, UNREADABLE, WAYS, Way

USUAL = (KILL, EIO, ENOSPC, UNREADABLE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--verb", type=_verbs, default=list(VERBS.values()), help="names, or how they begin")
    parser.add_argument("--how", type=_ways, default=list(USUAL), help=f"of {', '.join(WAYS)}")
    options = parser.parse_args()
    _row("verb", "way", "points", "broken", "untold", "seconds")
    everything: list[Outcome] = []
    remarks: list[str] = []
    began = time.monotonic()
    with shared_memory() as memory:
        for verb in options.verb:
            for way, outcomes, seconds in _swept(verb, options.how, memory):
                _row(verb.name, way.name, *_counts(outcomes), seconds)
                everything += outcomes
                remarks += [
                    f"{verb.name}, {way.name} at {one.point}: {one.trouble}"
                    for one in outcomes
                    if one.trouble
                ]
    _row("all", "", *_counts(everything), round(time.monotonic() - began))
    print("\n".join(remarks))
    return 1 if remarks else 0


def _swept(verb: Verb, ways: Sequence[Way], memory: Path) -> Iterator[tuple[Way, list[Outcome], int]]:
    with tempfile.TemporaryDirectory() as directory:
        scene = Scene.prepared(verb, Path(directory), memory)
        for way in ways:
            began = time.monotonic()
            yield way, scene.sweep(way), round(time.monotonic() - began)


def _counts(outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    broken, untold = (sum(1 for one in outcomes if getattr(one, name)) for name in ("wrong", "untold"))
    return len(outcomes), broken, untold


def _row(verb: str, way: str, *numbers: object) -> None:
    """One that is finished is there at once: the whole takes hours."""
    print(f"{verb:26} {way:10}" + "".join(f"{number:>9}" for number in numbers), flush=True)


def _verbs(text: str) -> list[Verb]:
    return [VERBS[name] for name in _chosen(text, VERBS)]


def _ways(text: str) -> list[Way]:
    return [WAYS[name] for name in _chosen(text, WAYS)]


def _chosen(text: str, names: Iterable[str]) -> list[str]:
    """Those that begin with one of the words; one that is named wholly stands for itself alone."""
    found: list[str] = []
    for word in text.replace(",", " ").split():
        meant = [word] if word in names else [name for name in names if name.startswith(word)]
        if not meant:
            raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(names)}")
        found += meant
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    sys.exit(main())
