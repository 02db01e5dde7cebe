"""A verb, disturbed in a way at its steps: each on a copy of what was prepared once."""

import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.after import Undisturbed, astray, ending, lost, unfinished, unserved, unswept, untold
from tests.faults.site import Site
from tests.faults.traced import Point, lasting, points, tracer
from tests.faults.verbs import Verb
from tests.faults.warm import Ended
from tests.faults.ways import Way
from tests.slots import keepers

AT_ONCE = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Outcome:
    """What one disturbance and all after it came to; *wrong* and *untold* are empty when everything held."""

    point: Point
    ended: Ended
    wrong: str
    untold: str

    @property
    def trouble(self) -> str:
        return "; ".join(filter(None, (self.wrong, self.untold)))


@dataclass(frozen=True)
class Scene:
    """A *verb*, a *site* that is ready for it, in strace's *lines* what it does to *paths* that last."""

    verb: Verb
    site: Site
    known: Undisturbed
    paths: tuple[Path, ...]
    lines: tuple[str, ...]

    @classmethod
    def prepared(cls, verb: Verb, directory: Path, memory: Path) -> "Scene":
        kept = {name.upper(): value for name, value in keepers.shared(verb.keeper).items()}
        settings = verb.settings | kept
        site = Site(directory / verb.name, memory / secrets.token_hex(4), tuple(settings.items())).build()
        for step in verb.before:
            if isinstance(step, str):
                site.must(step)
                if any(site.volume.glob("generation-*")):
                    site.announce()
            else:
                step(site)
        plain = site.copied("plain")
        output = directory / f"{verb.name}.strace"
        first = plain.does(verb.act, verb.command, tracer(output))
        assert first.well, first
        paths = [
            path.relative_to(plain.root) for path in lasting(output.read_text().splitlines(), plain.root)
        ]
        known = _undisturbed(verb, site, plain, first)
        counted = site.copied("counted")
        assert counted.does(
            verb.act, verb.command, tracer(output, [counted.root / path for path in paths])
        ).well
        return cls(verb, site, known, tuple(paths), tuple(output.read_text().splitlines()))

    def points(self, way: Way) -> list[Point]:
        return points(self.lines, reading=way.reading)

    def disturbed(self, way: Way, point: Point) -> Outcome:
        site = self.site.copied(f"{way.name}-{point}".replace(" ", "-"))
        output = site.root.with_name(f"{site.root.name}.strace")
        rule = f"inject={point.syscall}:{way.injection}:when={point.number}"
        trace = tracer(output, [site.root / path for path in self.paths], "-e", rule)
        ended = site.does(self.verb.act, self.verb.command, trace)
        wrong = list(way.ended_wrongly(ended, output.read_text().splitlines()))
        told = [] if way.kills else [*untold(site, ended, site.look(), self.known)]
        try:
            wrong += self._wrong(site)
        except AssertionError as error:
            wrong.append(str(error))  # a site that cannot even be asked
        if not wrong:
            site.clear()
            output.unlink()
        return Outcome(point, ended, "; ".join(wrong), "; ".join(told))

    def _wrong(self, site: Site) -> Iterator[str]:
        """What does not hold: at once, after a second run, and after a boot."""
        first = site.look()
        yield from lost(site, first, self.known)
        again = site.does(self.verb.act, self.verb.command)
        seen = site.look()
        yield from lost(site, seen, self.known, first)
        yield from unfinished(again, seen, self.known)
        if self.verb.sweeps:
            yield from unswept(site, seen)
        if self.verb.steady:
            stamps = site.stamps()
            if not site.does(self.verb.act, self.verb.command).well or site.stamps() != stamps:
                yield "a third run changed something"
        if self.verb.serves:
            yield from unserved(site, seen)
            last = site.look()
            yield from lost(site, last, self.known, seen)
            yield from unswept(site, last)
        yield from astray(site, self.known, self.verb.may_lack)

    def sweep(self, way: Way, chosen: Iterable[Point] | None = None) -> list[Outcome]:
        """Disturb it at the *chosen* points, by default at all, as many at once as there are processors."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = self.points(way) if chosen is None else chosen
            return list(pool.map(lambda point: self.disturbed(way, point), found))


def _undisturbed(verb: Verb, site: Site, plain: Site, first: Ended) -> Undisturbed:
    """*plain* is a copy where the verb was done once. What is asked of disturbed ones holds for it too."""
    once = plain.look()
    again = plain.does(verb.act, verb.command)
    twice = plain.look()
    wrong = [*unserved(plain, twice)] if verb.serves else []
    known = Undisturbed(site.look(), (once, twice), (ending(first), ending(again)), plain.tree())
    wrong += [*lost(plain, twice, known), *unswept(plain, twice)]
    assert not wrong, wrong
    assert once.text == verb.goal, once.text
    return known


def turning_points(found: list[Point]) -> list[Point]:
    """Where verbs differ: around the log's lines, the commit and what is removed behind it."""
    chosen = {0, len(found) - 1}
    for place, point in enumerate(found):
        if point.act in ("rename", "link", "unlink"):
            chosen |= {place, min(place + 1, len(found) - 1)}
    return [found[place] for place in sorted(chosen)]


def every_other(found: list[Point]) -> list[Point]:
    """Half of them, and everything that takes effect at once."""
    chosen = {*found[::2], *(point for point in found if point.act in ("rename", "link", "unlink"))}
    return sorted(chosen, key=found.index)
