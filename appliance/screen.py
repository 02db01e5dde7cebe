"""How an answer fits a terminal: its width, tables, lines that hang, colour. Nothing of it reaches a pipe."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

# Text that goes to a file or a program is one line per thing, however long.
ENDLESS = 1 << 20
_GAP = "  "


class Colour(StrEnum):
    """By their numbers in ECMA-48, as every terminal knows them."""

    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"


def width() -> int:
    """Columns of the terminal on stdout, as far as there is one."""
    return shutil.get_terminal_size().columns if _seen() else ENDLESS


def coloured(text: str, colour: Colour) -> str:
    """*text* in *colour* where somebody sees it and has not asked for none (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not _seen()
    return text if plain else f"\x1b[1;{colour}m{text}\x1b[0m"


def day(unix: int) -> str:
    """The date, in UTC, of a moment in Unix seconds."""
    return datetime.fromtimestamp(unix, UTC).date().isoformat()


def minute(unix: int) -> str:
    """The date and time, in UTC, of a moment in Unix seconds."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _seen() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def safe(text: str) -> str:
    """Names come from stored bytes and from callers: nothing in them may move the cursor."""
    return text if text.isprintable() else ascii(text)[1:-1]


def rows(pairs: Iterable[tuple[str, str]], columns: int, label: int = 11) -> list[str]:
    """A name, *label* wide, and its words; these go on below themselves where they do not fit."""
    lines = []
    for name, words in pairs:
        room = max(columns - label - 1, 20)
        parts = [words]
        if len(words) > room:
            # An id or a command is copied, so it is never broken.
            parts = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
        lines += [f"{'' if number else name:{label}} {part}" for number, part in enumerate(parts)]
    return lines


def wrapped(lines: Iterable[str], columns: int) -> str:
    """Lines that go on below themselves where they do not fit; ids and commands are never broken."""
    return "\n".join(
        part
        for line in lines
        for part in (textwrap.wrap(line, columns, break_long_words=False, break_on_hyphens=False) or [""])
    )


def table(
    head: Sequence[str], body: Iterable[Sequence[str]], columns: int, numbers: Iterable[str] = ()
) -> list[str]:
    """Columns under their heads, those named in *numbers* to the right.

    Where a line does not fit, its last cell stands on a line of its own: an id is copied whole.
    """
    lines = [tuple(head), *map(tuple, body)]
    right = [name in set(numbers) for name in head]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    fits = sum(widths) + len(_GAP) * (len(widths) - 1) <= columns
    shown = []
    for line in lines:
        cells = [
            cell.rjust(size) if aligned else cell.ljust(size)
            for cell, size, aligned in zip(line, widths, right, strict=True)
        ]
        if fits:
            shown.append(_GAP.join(cells).rstrip())
        else:
            shown += [_GAP.join(cells[:-1]).rstrip(), f"    {line[-1]}"]
    return shown
