"""The log's files: the one written to and the older ones by number; regular only, read from either end."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice, takewhile
from pathlib import Path

from appliance import regular
from appliance.volume import durable
from appliance.volume.audit.chain import FILE, number_of
from appliance.volume.audit.entry import MOST, parse

_LAST_NUMBER = 99_999_999
# In bytes. A log from before there were older files may be large: a million entries.
_MOST_OF_A_FILE = 256 << 20
_BLOCK = 1 << 16
# Where a file says which one it carries on, unless a crash left something ahead of it.
_FRONT = 16


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor of what is a regular file. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        regular.check(descriptor, path, _MOST_OF_A_FILE)
        yield descriptor
    finally:
        os.close(descriptor)


def older(path: Path) -> list[Path]:
    """The files that were put away and are still beside *path*, oldest first. Raises OSError."""
    try:
        return sorted(each for each in path.parent.iterdir() if number_of(each.name))
    except FileNotFoundError:
        return []


def oldest_first(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each file's name and its lines, from the first entry on."""
    with _current(path) as current:
        for each in _before(path, current):
            with opened(each) as descriptor:
                yield each.name, _forwards(descriptor)
        if current is not None:
            yield path.name, _forwards(current)


def newest_first(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each file's name and its lines, from the last one back."""
    with _current(path) as current:
        if current is not None:
            yield path.name, _backwards(current)
        for each in reversed(_before(path, current)):
            with opened(each) as descriptor:
                yield each.name, _backwards(descriptor)


def put_away(path: Path, limit: int) -> None:
    """Give a file of *limit* bytes or more a number: the next entry begins a new one. Raises OSError."""
    try:
        full = path.lstat().st_size >= limit
    except FileNotFoundError:
        return
    if not full or (number := _next_number(path)) > _LAST_NUMBER:
        return
    try:
        path.rename(path.with_name(f"audit-{number:08d}.jsonl"))
    except OSError:
        return  # a log that may be written to and not renamed grows on
    # Before there is another of its name: a power loss must not bring that one alone.
    durable.sync_directory(path.parent)


def _next_number(path: Path) -> int:
    """Never one that was given before, though the older files may all have been moved away."""
    with opened(path) as descriptor:
        entries = (parse(line) for line in islice(_forwards(descriptor), _FRONT))
        first = next((entry for entry in entries if entry), {})
    return 1 + max(number_of(str(first.get(FILE))), *(number_of(each.name) for each in older(path)), 0)


@contextmanager
def _current(path: Path) -> Iterator[int | None]:
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened(path))
        except FileNotFoundError:
            descriptor = None
        yield descriptor


def _before(path: Path, current: int | None) -> list[Path]:
    """The older files; none that *current*, or what came behind it, has become since it was opened."""
    if current is None:
        return older(path)
    own = os.fstat(current)
    return list(takewhile(lambda each: not os.path.samestat(own, each.lstat()), older(path)))


def _forwards(descriptor: int) -> Iterator[bytes]:
    """Its lines without their breaks; one that is longer than an entry comes in pieces that are."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        while line := file.readline(MOST + 2):
            yield line.removesuffix(b"\n")


def _backwards(descriptor: int) -> Iterator[bytes]:
    """Its lines without their breaks, the last first; of one longer than an entry a piece that is, too."""
    end = os.fstat(descriptor).st_size
    rest, broken = b"", False
    while end:
        start = max(0, end - _BLOCK)
        first, *lines = (os.pread(descriptor, end - start, start) + rest).split(b"\n")
        if lines and not broken:
            # What is behind the last line break is a line only if it is anything.
            lines, broken = lines if lines[-1] else lines[:-1], True
        yield from reversed(lines)
        rest, end = first[-MOST - 1 :], start
    if rest or broken:
        yield rest
