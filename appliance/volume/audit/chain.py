"""Whether the lines of a log follow from each other, over all of its files, and hold a known head. Pure."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume.audit.entry import HASH, Head, begins, digest, parse

OLDER = re.compile(r"audit-([0-9]{8})\.jsonl")
# The entry that a new file begins with: it names the file before and the hash that it carries on.
CONTINUED, FILE, PREVIOUS = "continued", "file", "previous"
# An entry holds the hash of what a crash left ahead of it; older versions only said that there was something.
TORN = "torn"


@dataclass(frozen=True)
class Chain:
    """Entries *first* to *head*, each following from the one before; *missing* older files are not here."""

    first: int
    head: Head
    missing: int = 0

    @property
    def entries(self) -> int:
        return self.head.seq - self.first + 1


def follow(files: Iterable[tuple[str, Iterable[bytes]]], known: Head | None = None) -> Chain:
    """The chain of *files*, oldest first: each with its name and its lines.

    Raises E-AUDIT-BROKEN with the line that is wrong, E-AUDIT-CUT when the *known* head is not among them.
    """
    walk = _Walk(known or Head())
    for name, lines in files:
        walk.through(name, lines)
    return walk.end()


class _Walk:
    def __init__(self, known: Head) -> None:
        self._known, self._found = known, known.seq == 0
        self._first, self._missing, self._head = 1, 0, Head()
        self._file = ""  # the one before
        self._torn = Torn()

    def through(self, name: str, lines: Iterable[bytes]) -> None:
        begun = False
        for number, line in enumerate(lines, 1):
            where = f"{name}, line {number}"
            entry = parse(line)
            if entry is not None:
                if not begun:
                    self._carry_on(where, entry)
                begun = True
                self._step(where, entry)
            elif begins(line, self._head.seq + 1 if self._head.seq else None):
                self._torn.add(line)
            else:
                raise KleidiError(faults.AUDIT_BROKEN, f"{where} is not an entry")
        self._file = name

    def _carry_on(self, where: str, entry: dict[str, Any]) -> None:
        """A file's first entry leads to the file before; or, where none is here, the chain begins with it."""
        named, previous = _continued(entry)
        if named == self._file:
            return
        if self._file:
            raise KleidiError(faults.AUDIT_BROKEN, f"what {where} carries on is not here")
        self._first, self._missing = entry["seq"], number_of(named)
        self._head = Head(entry["seq"] - 1, previous)

    def _step(self, where: str, entry: dict[str, Any]) -> None:
        if not self._torn.is_told_by(entry):
            raise KleidiError(faults.AUDIT_BROKEN, f"what is ahead of {where} is not what was torn there")
        claimed = entry.pop("hash")
        if entry["seq"] != self._head.seq + 1 or claimed != digest(entry, self._head.hash):
            raise KleidiError(faults.AUDIT_BROKEN, f"{where} does not follow from the entry before")
        self._head, self._torn = Head(entry["seq"], claimed), Torn()
        if self._head.seq == self._known.seq:
            self._found = self._head == self._known
            if not self._found:
                raise exchanged(self._known)

    def end(self) -> Chain:
        if not self._found:
            raise cut(self._known, self._first, self._head.seq)
        return Chain(self._first, self._head, self._missing)


class Torn:
    """Lines between two entries that are none, for the second one to tell of."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._count, self._hash = 0, hashlib.sha256()
        for line in lines:
            self.add(line)

    def add(self, line: bytes) -> None:
        self._count += 1
        self._hash.update(line + b"\n")

    @property
    def mark(self) -> str | None:
        return self._hash.hexdigest() if self._count else None

    def is_told_by(self, entry: dict[str, Any]) -> bool:
        told = entry.get(TORN)
        return self._count == 1 if told is True else told == self.mark


def is_head(known: Head, entry: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether *entry* is the known one, by what is in it and by what is *before*, if that is here."""
    previous = before["hash"] if before else _continued(entry)[1] or Head().hash
    bare = {name: value for name, value in entry.items() if name != "hash"}
    return Head(entry["seq"], digest(bare, previous)) == known == Head(entry["seq"], entry["hash"])


def cut(known: Head, first: int, last: int) -> KleidiError:
    """The fault of a log of entries *first* to *last* that lacks the known one."""
    holds = "is empty" if not last else f"begins with {first}" if known.seq < first else f"ends with {last}"
    return KleidiError(faults.AUDIT_CUT, f"expected entry {known.seq}, the log {holds}")


def exchanged(known: Head) -> KleidiError:
    return KleidiError(faults.AUDIT_CUT, f"entry {known.seq} is another one")


def number_of(name: str) -> int:
    """An older file's number; 0 for what is none's name."""
    match = OLDER.fullmatch(name)
    return int(match[1]) if match else 0


def _continued(entry: dict[str, Any]) -> tuple[str, str]:
    """The file that an entry carries on and the hash that it follows; empty when it carries on none."""
    named, previous = str(entry.get(FILE)), str(entry.get(PREVIOUS))
    carries = entry["op"] == CONTINUED and number_of(named) and HASH.fullmatch(previous)
    return (named, previous) if carries else ("", "")
