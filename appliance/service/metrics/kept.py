"""What lies on disks: backup, slots, audit log, free space. Asked in a thread that may hang with its disk.

Who scrapes waits a second for it; then what was seen last is told, as long as it takes.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appliance import faults
from appliance.backup.verified import Record, Verified
from appliance.faults import KleidiError
from appliance.service.metrics import table
from appliance.service.metrics.moment import Moment
from appliance.service.metrics.table import Sample
from appliance.slots.listing import Row, rows
from appliance.volume.audit import AuditLog, Head
from appliance.volume.opening import Storage

_PATIENCE_SECONDS = 1.0
_AUDIT_SECONDS = 3600.0
# A header names its slots; whatever it names, no more of them become series.
_MOST_SLOTS = 64


@dataclass(frozen=True)
class Kept:
    """None is what could not be asked."""

    verified: Verified | None = None
    slots: tuple[Row, ...] = ()
    entries: int | None = None
    intact: bool | None = None
    volume_free: int | None = None
    memory_free: int | None = None

    def samples(self, moment: Moment) -> Iterator[Sample]:
        keyset, verified = moment.standing.keyset, self.verified
        if verified and (keyset is None or verified.lineage == keyset.lineage):
            yield Sample(table.BACKUP_VERIFIED, verified.unix)
            if keyset is not None:
                yield Sample(table.BACKUP_MISSING, len(verified.lacks(keyset)))
        for row in self.slots:
            configured = str(row.configured).lower()
            yield Sample(table.SLOT_INFO, 1, (row.name, row.kind, configured))
            if row.tested:
                yield Sample(table.SLOT_TESTED, row.tested, (row.name,))
        for metric, number in (
            (table.AUDIT_ENTRIES, self.entries),
            (table.AUDIT_INTACT, self.intact),
            (table.VOLUME_FREE, self.volume_free),
            (table.MEMORY_FREE, self.memory_free),
        ):
            if number is not None:
                yield Sample(metric, number)


class Shelf:
    def __init__(self, storage: Storage, record: Record, audit: AuditLog, memory_dir: Path) -> None:
        self._storage = storage
        self._record = record
        self._audit = audit
        self._memory_dir = memory_dir
        self._thread = ThreadPoolExecutor(1, "shelf")
        self._looking: Future[None] | None = None
        self._followed_at = 0.0
        self._kept = Kept()

    async def look(self, known: Head | None) -> Kept:
        """What is there now, or, where that takes too long, what was seen last.

        *known* is the entry of the audit log that an open seal knows; None while nothing is open.
        """
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._look, known)
        await asyncio.wait([asyncio.wrap_future(self._looking)], timeout=_PATIENCE_SECONDS)
        return self._kept

    def _look(self, known: Head | None) -> None:
        with contextlib.suppress(OSError):  # what cannot be asked is as it was seen last
            self._ask(known)

    def _ask(self, known: Head | None) -> None:
        volume, memory_free = self._storage.volume, _free(_there(self._memory_dir))
        if not volume.path.exists() or volume.why_changed():
            # Whatever is there tells nothing of the volume that is served.
            self._kept = replace(self._kept, entries=None, volume_free=None, memory_free=memory_free)
            return
        self._kept = Kept(
            self._record.read(),
            self._slots(),
            self._entries(),
            self._kept.intact,
            _free(volume.path),
            memory_free,
        )
        if time.monotonic() - self._followed_at >= _AUDIT_SECONDS or self._kept.intact is None:
            self._kept = replace(self._kept, intact=self._intact(known))
            self._followed_at = time.monotonic()

    def _slots(self) -> tuple[Row, ...]:
        try:
            return tuple(rows(self._storage)[:_MOST_SLOTS])
        except KleidiError:
            return ()

    def _entries(self) -> int | None:
        try:
            return self._audit.head().seq
        except KleidiError:
            return None

    def _intact(self, known: Head | None) -> bool | None:
        """A log that cannot be read is as it was when it could."""
        try:
            self._audit.verify(known)
        except KleidiError as error:
            return self._kept.intact if error.fault is faults.AUDIT_UNREADABLE else False
        return True


def _there(path: Path) -> Path:
    """Where *path* is, or will be once it is made."""
    return next(each for each in (path, *path.parents) if each.exists())


def _free(path: Path) -> int | None:
    """Of the filesystem that *path* is on."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
