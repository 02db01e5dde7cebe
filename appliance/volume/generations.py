"""The volume: immutable sealed generations, one lock, and what can be told of it from outside."""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance import faults, holder
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.mounts import is_mount_point

_NAME = re.compile(r"generation-([0-9]{8})\.seal")
_LOCK = "lock"
# `seal.key` is the demo slot's, `lost+found` the filesystem's.
_HARMLESS = {_LOCK, "lost+found", "seal.key", "seal.key.used"}
# Written only once there was a generation: without one they tell that it is gone.
TRACES = AUDIT, LEDGER, VERIFIED = "audit.jsonl", "ledger.json", "verified.json"


class VolumeState(StrEnum):
    """Derived from what is on disk at the moment, never stored. Unreadable is not empty."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    EMPTY = "empty"
    SEALED = "sealed"


@dataclass(frozen=True)
class Survey:
    state: VolumeState
    mounted: bool = False
    writable: bool = False
    newest: int = 0
    strangers: tuple[str, ...] = ()
    traces: bool = False


class Volume:
    def __init__(self, path: Path) -> None:
        self.path = path

    def survey(self) -> Survey:
        """Look without touching; never raises for what is on the disk."""
        try:
            names = sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return Survey(VolumeState.MISSING)
        except OSError as error:
            return Survey(VolumeState.UNREADABLE, strangers=(error.strerror or str(error),))
        generations = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
        strangers = tuple(_shown(name) for name in names if not self._is_ours(name))
        state = VolumeState.SEALED if generations else VolumeState.EMPTY
        return Survey(
            VolumeState.FOREIGN if strangers else state,
            mounted=is_mount_point(self.path),
            writable=os.access(self.path, os.W_OK | os.X_OK),
            newest=max(generations, default=0),
            strangers=strangers,
            traces=any(name in (*TRACES, "seal.key.used") for name in names),
        )

    @staticmethod
    def _is_ours(name: str) -> bool:
        known = name in _HARMLESS or name in TRACES or name.startswith(durable.SCRATCH_PREFIX)
        return known or _NAME.fullmatch(name) is not None

    def file(self, generation: int) -> Path:
        return self.path / f"generation-{generation:08d}.seal"

    def read(self, generation: int) -> bytes:
        with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_UNREADABLE):
            return self.file(generation).read_bytes()

    def commit(self, generation: int, sealed: bytes) -> None:
        """Add a generation. Its rename is the one commit point; needs the lock."""
        if self.file(generation).exists():
            raise KleidiError(faults.VOLUME_FOREIGN, f"generation {generation} is already there")
        with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_READ_ONLY):
            durable.write(self.file(generation), sealed, 0o400)

    def settle(self) -> None:
        """Make a commit last that was cut off before its last step; a disk that cannot shows elsewhere."""
        with contextlib.suppress(OSError):
            durable.sync_directory(self.path)

    def prune(self, last: int) -> None:
        """Remove the generations up to *last*; what cannot be removed waits for the next time."""
        for generation in self.older(last + 1):
            self.remove(generation)

    def older(self, than: int) -> list[int]:
        """The generations before that one which are still there, oldest first."""
        try:
            names = [entry.name for entry in self.path.iterdir()]
        except OSError:
            return []
        found = (int(match[1]) for name in names if (match := _NAME.fullmatch(name)))
        return sorted(generation for generation in found if generation < than)

    def remove(self, generation: int) -> None:
        with contextlib.suppress(OSError):
            self.file(generation).unlink()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the volume, alone. Raises E-VOLUME-LOCKED at once when somebody else does."""
        with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_READ_ONLY):
            descriptor = self._open_lock()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                pid = self.holder()
                by = f", held by process {pid}" if pid else ""
                raise KleidiError(faults.VOLUME_LOCKED, f"{self.path}{by}") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """The process that holds the volume, as far as it can be told without touching the lock."""
        return holder.holder(self.path / _LOCK)

    def _open_lock(self) -> int:
        path = self.path / _LOCK
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            # A volume that turned read-only can still be read from, and still be locked.
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _shown(name: str) -> str:
    """A foreign name may be any bytes; what is told of it stays one line of text."""
    return name if name.isprintable() else ascii(name)
