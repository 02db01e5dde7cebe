"""The audit log on the volume: what appends to it, and what asks whether it is still the one it was."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.audit import chain, files
from appliance.volume.audit.chain import Chain, Torn
from appliance.volume.audit.entry import Head, parse, render

# In bytes: some 15,000 changes in a file.
_FULL = 8 << 20
# In bytes: more than crashes in a row leave behind the last entry.
_MOST_TORN = 1 << 20


@dataclass(frozen=True)
class AuditLog:
    """A file of *limit* bytes or more gets a number, and the next entry begins a new one at *path*."""

    path: Path
    limit: int = _FULL

    def append(self, op: str, **fields: object) -> Head:
        """Write one line, wait for the disk, and give the head that it makes.

        Needs the volume's lock. Raises E-AUDIT-FAILED: then the change must not happen.
        """
        with durable.translated_as(faults.AUDIT_FAILED):
            files.put_away(self.path, self.limit)
            head, torn, file = self._end()
            lines = []
            carried = [] if file == self.path.name else files.older(self.path)
            if carried:
                told = {chain.FILE: carried[-1].name, chain.PREVIOUS: head.hash}
                line, head = _written(head, chain.CONTINUED, {**told, chain.TORN: torn.mark})
                lines, torn = [line], Torn()
            line, head = _written(head, op, {**fields, chain.TORN: torn.mark})
            self._write(b"".join([*lines, line]))
        return head

    @property
    def every(self) -> list[Path]:
        """All of its files that are here, oldest first. Raises E-AUDIT-UNREADABLE."""
        with durable.translated_as(faults.AUDIT_UNREADABLE):
            return [*files.older(self.path), self.path]

    def head(self) -> Head:
        """The last entry's; nothing is checked. Raises E-AUDIT-UNREADABLE."""
        return next((Head(entry["seq"], entry["hash"]) for entry in self._backwards()), Head())

    def check(self, known: Head) -> None:
        """Raise E-AUDIT-CUT unless the log holds the entry that *known* was the head at.

        Looks back from the end as far as that entry, and is no proof of what lies before it: verify is.
        Raises E-AUDIT-UNREADABLE as well.
        """
        last, seq, entries = 0, 0, self._backwards()
        for entry in entries if known.seq else ():
            seq = entry["seq"]
            last = last or seq
            if seq == known.seq and not chain.is_head(known, entry, next(entries, None)):
                raise chain.exchanged(known)
            if seq <= known.seq:
                break
        if seq != known.seq:
            raise chain.cut(known, seq, last)

    def verify(self, known: Head | None = None) -> int:
        """The number of entries that are here; raises what follow raises."""
        return self.follow(known).entries

    def follow(self, known: Head | None = None) -> Chain:
        """The whole chain, over all files that are here.

        Raises E-AUDIT-BROKEN with the line where it is broken, E-AUDIT-CUT when it lacks the *known* head,
        and E-AUDIT-UNREADABLE.
        """
        with durable.translated_as(faults.AUDIT_UNREADABLE):
            return chain.follow(files.oldest_first(self.path), known)

    def tail(self, count: int) -> list[dict[str, Any]]:
        """The last entries, oldest first; nothing is checked. Raises E-AUDIT-UNREADABLE."""
        return list(islice(self._backwards(), count))[::-1]

    def _backwards(self) -> Iterator[dict[str, Any]]:
        with durable.translated_as(faults.AUDIT_UNREADABLE):
            for _, lines in files.newest_first(self.path):
                yield from filter(None, map(parse, lines))

    def _end(self) -> tuple[Head, Torn, str]:
        """The last entry's head, what a crash left behind it, and the name of the file that it is in."""
        behind: list[bytes] = []
        size = 0
        for name, lines in files.newest_first(self.path):
            for line in lines:
                if entry := parse(line):
                    return Head(entry["seq"], entry["hash"]), Torn(reversed(behind)), name
                behind.append(line)
                size += len(line) + 1
                if size > _MOST_TORN:
                    raise OSError(errno.EBADMSG, "it ends with what is no entry", str(self.path))
        return Head(), Torn(reversed(behind)), ""

    def _write(self, data: bytes) -> None:
        try:
            self._append(data)
        except FileNotFoundError:
            # By a rename: what holds half of its first entry would tell nobody what it is.
            durable.write(self.path, data, 0o600, replacing=False)

    def _append(self, data: bytes) -> None:
        with files.opened(self.path, os.O_RDWR | os.O_APPEND) as descriptor:
            size = os.fstat(descriptor).st_size
            # Of a line that was cut off, everything but the line break may have arrived.
            ended = not size or os.pread(descriptor, 1, size - 1) == b"\n"
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data if ended else b"\n" + data)
            os.fsync(descriptor)


def _written(head: Head, op: str, fields: dict[str, object]) -> tuple[bytes, Head]:
    """The line behind *head* and the head that it makes. Raises E-AUDIT-FAILED for one that is no entry."""
    present = {name: value for name, value in fields.items() if value not in (None, "")}
    line, made = render({"seq": head.seq + 1, "time": _now(), "op": op, **present}, head.hash)
    if parse(line[:-1]) is None:
        raise KleidiError(faults.AUDIT_FAILED, f"{op}: {len(line)} bytes that would be no entry")
    return line, made


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
