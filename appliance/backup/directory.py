"""The directory where bundles lie: named so that people can tell them apart, written so that none is half."""

import contextlib
import errno
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance import faults, given, regular
from appliance.age.key_pairs import Recipients
from appliance.backup.bundle import MAX_SIZE, make
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.payload import Payload
from appliance.volume.seal import Header

_NAME = re.compile(r"kleidi-([0-9a-f]{12})-g([0-9]+)-([0-9]{8}T[0-9]{6}Z)(?:-[0-9a-f]{4})?\.age")
_FORM = "%Y%m%dT%H%M%SZ"
# What a killed writer left is swept only when no living one can still be at it: others may write here too.
_ABANDONED_SECONDS = 3600


def name(header: Header, now: datetime) -> str:
    return f"kleidi-{header.lineage}-g{header.generation}-{now.astimezone(UTC).strftime(_FORM)}.age"


def put(path: Path, data: bytes) -> Path:
    """Write a bundle so that it lasts. Raises E-BACKUP-EXISTS rather than replace anything."""
    with durable.translated_as(faults.BACKUP_FAILED):
        _sweep(path.parent)
        try:
            durable.write(path, data, 0o400, replacing=False)
        except FileExistsError as error:
            raise KleidiError(faults.BACKUP_EXISTS, str(path)) from error
    return path


def _sweep(directory: Path) -> None:
    for leftover in durable.leftovers(directory, "kleidi-", faults.BACKUP_FAILED):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                leftover.unlink()


def take(path: Path) -> bytes:
    """The bytes of a bundle that somebody named. Raises E-BACKUP-UNREADABLE, E-BACKUP-CORRUPT."""
    return given.read(path, MAX_SIZE, unreadable=faults.BACKUP_UNREADABLE, larger=faults.BACKUP_CORRUPT)


def kept(path: Path) -> bytes:
    """The same for one that was found in the directory, where others may write: a file, or a link to one."""
    try:
        return regular.read(path, MAX_SIZE, follow=True)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise KleidiError(faults.BACKUP_CORRUPT, f"{path} has more than {MAX_SIZE >> 20} MiB") from error
        raise KleidiError(faults.BACKUP_UNREADABLE, f"{path}: {error.strerror}") from error


def newest(directory: Path, lineage: str | None) -> Path:
    """The bundle of *lineage* that was made last, by its name; None takes any lineage."""
    found = map(_NAME.fullmatch, durable.names(directory, faults.BACKUP_UNREADABLE))
    ours = [(match[3], int(match[2]), match[0]) for match in found if match and lineage in (None, match[1])]
    if not ours:
        raise KleidiError(faults.BACKUP_NONE, str(directory))
    return directory / max(ours)[2]


@dataclass(frozen=True)
class Automatic:
    """A bundle of every generation ahead of its commit. Raises E-BACKUP-FAILED: then nothing is committed.

    None is ever removed: which of them can be done without, only an operator knows.
    """

    recipients: Recipients
    directory: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, header: Header, payload: Payload) -> None:
        now = self.now()
        data = make(payload, header, self.recipients, now)
        path = self.directory / name(header, now)
        try:
            put(path, data)
        except KleidiError as error:
            if error.fault is not faults.BACKUP_EXISTS:
                raise
            # Another node of the same lineage and in the same second; or an aborted try of ours.
            put(path.with_name(f"{path.stem}-{secrets.token_hex(2)}.age"), data)
