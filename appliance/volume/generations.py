"""The volume: immutable sealed generations, one lock, and what can be told of it from outside.

While it is locked, everything goes by the descriptor of the directory that was locked: a path may come to
mean another directory at any moment, by a mount or a rename, and a change must end where it began.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance import faults, holder, regular
from appliance.faults import KleidiError
from appliance.volume import durable
from appliance.volume.audit.chain import number_of
from appliance.volume.mounts import is_mount_point

_NAME = re.compile(r"generation-([0-9]{8})\.seal")
# Eight digits, so that names sort as numbers do.
_LAST = 99_999_999
# A token of a thousand keys has a megabyte.
_MOST = 32 << 20
_LOCK = "lock"
# `seal.key` and its mark are the demo slot's, `lost+found` the filesystem's.
_HARMLESS = {_LOCK, "lost+found", "seal.key"}
_USED = "seal.key.used"
# Written only once there was a generation: without one they tell that it is gone.
TRACES = AUDIT, LEDGER, VERIFIED = "audit.jsonl", "ledger.json", "verified.json"


class VolumeState(StrEnum):
    """Derived from what is on disk at the moment, never stored. Unreadable is not empty."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    EMPTY = "empty"
    SEALED = "sealed"


# Why nothing can be made of it, whatever is wanted.
UNFIT = {
    VolumeState.MISSING: faults.VOLUME_MISSING,
    VolumeState.UNREADABLE: faults.VOLUME_UNREADABLE,
    VolumeState.FOREIGN: faults.VOLUME_FOREIGN,
}


@dataclass(frozen=True)
class Survey:
    state: VolumeState
    mounted: bool = False
    writable: bool = False
    newest: int = 0
    strangers: tuple[str, ...] = ()
    traces: bool = False


@dataclass(frozen=True)
class _Held:
    """The directory that is locked: its descriptor, what identifies it and its lock, and how it was there."""

    directory: int
    inode: tuple[int, int]
    lock: tuple[int, int]
    mounted: bool


class Volume:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: _Held | None = None

    def survey(self) -> Survey:
        """Look without touching; never raises for what is on the disk."""
        try:
            names = sorted(self._names())
        except FileNotFoundError:
            return Survey(VolumeState.MISSING)
        except OSError as error:
            return Survey(VolumeState.UNREADABLE, strangers=(error.strerror or str(error),))
        generations = _numbers(names)
        strangers = tuple(_shown(name) for name in names if not self._is_ours(name))
        state = VolumeState.SEALED if generations else VolumeState.EMPTY
        return Survey(
            VolumeState.FOREIGN if strangers else state,
            mounted=is_mount_point(self.path),
            writable=os.access(self.path, os.W_OK | os.X_OK),
            newest=max(generations, default=0),
            strangers=strangers,
            traces=any(map(_is_trace, names)),
        )

    def traces(self) -> list[str]:
        """The names of what is there only once there was a generation. Raises E-VOLUME-UNREADABLE."""
        with durable.translated_as(faults.VOLUME_UNREADABLE):
            return sorted(filter(_is_trace, self._names()))

    @staticmethod
    def _is_ours(name: str) -> bool:
        known = name in _HARMLESS or _is_trace(name) or name.startswith(durable.SCRATCH_PREFIX)
        return known or _NAME.fullmatch(name) is not None

    def file(self, generation: int) -> Path:
        return self.path / _name(generation)

    def read(self, generation: int) -> bytes:
        with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_UNREADABLE):
            if self._held is None:
                return regular.read(self.file(generation), _MOST)
            return regular.read(_name(generation), _MOST, directory=self._held.directory)

    def commit(self, generation: int, sealed: bytes) -> None:
        """Add a generation. Its rename is the one commit point; needs the lock.

        Raises E-VOLUME-CHANGED when the path leads elsewhere: then nobody must be told of this generation,
        though it may be in the directory that was locked. Raises E-VOLUME-UNSURE when it is there and may not
        outlive a power cut.
        """
        if self._held is None:
            raise AssertionError("a commit needs the volume's lock")
        if generation > _LAST:
            raise KleidiError(faults.VOLUME_SPENT, f"generation {generation}")
        self.demand_unchanged()
        names = self._listed()
        if generation in _numbers(names):
            raise KleidiError(faults.VOLUME_FOREIGN, f"generation {generation} is already there")
        # What killed commits left: a server that is never restarted would keep it until no inode is left.
        for name in names:
            if name.startswith(f"{durable.SCRATCH_PREFIX}generation-"):
                self._unlink(name)
        with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_READ_ONLY):
            try:
                durable.write(self.file(generation), sealed, 0o400, directory=self._held.directory)
            except durable.UnsettledError as error:
                raise KleidiError(
                    faults.VOLUME_UNSURE, f"generation {generation}: {error.strerror}"
                ) from error
        self.demand_unchanged()

    def why_changed(self) -> str:
        """Why the path does not lead to the directory that is locked any more; empty while it does."""
        if self._held is None:
            return ""
        try:
            there = self.path.stat()
            lock = os.stat(_LOCK, dir_fd=self._held.directory, follow_symlinks=False)
        except OSError as error:
            return f"{error.strerror}: {error.filename}"
        if _inode(there) != self._held.inode:
            return f"another directory is at {self.path}"
        if self._held.mounted and not is_mount_point(self.path):
            return f"nothing is mounted at {self.path} any more"
        return "" if _inode(lock) == self._held.lock else "its lock file is another one"

    def demand_unchanged(self) -> None:
        """Raise E-VOLUME-CHANGED unless the path leads to the very directory that is locked."""
        if why := self.why_changed():
            raise KleidiError(faults.VOLUME_CHANGED, why)

    def settle(self) -> None:
        """Make a commit last that was cut off before its last step. Raises E-VOLUME-UNSURE."""
        with durable.translated_as(faults.VOLUME_UNSURE):
            if self._held is None:
                durable.sync_directory(self.path)
            else:
                os.fsync(self._held.directory)

    def prune(self, last: int) -> None:
        """Remove the generations up to *last*; what cannot be removed waits for the next time."""
        for generation in self.older(last + 1):
            self.remove(generation)

    def older(self, than: int) -> list[int]:
        """The generations before that one which are still there, oldest first."""
        with contextlib.suppress(KleidiError):
            return sorted(generation for generation in _numbers(self._listed()) if generation < than)
        return []

    def remove(self, generation: int) -> None:
        """Needs the lock."""
        self._unlink(_name(generation))

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            if self._held is None:
                (self.path / name).unlink()
            else:
                os.unlink(name, dir_fd=self._held.directory)

    def _listed(self) -> list[str]:
        with durable.translated_as(faults.VOLUME_UNREADABLE):
            return self._names()

    def _names(self) -> list[str]:
        if self._held is None:
            return [path.name for path in self.path.iterdir()]
        # Opened anew: whoever lists by one descriptor shares its place with all others (dup(2)), and two that
        # look at once would each see a part, or nothing.
        own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._held.directory)
        try:
            return os.listdir(own)  # noqa: PTH208  a descriptor
        finally:
            os.close(own)

    def holder(self) -> str:
        """`process 123`, which holds the volume, as far as it can be told without touching the lock."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path / _LOCK, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return holder.of_lock(descriptor)
            finally:
                os.close(descriptor)
        return ""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the volume, alone. Raises E-VOLUME-LOCKED at once when somebody else does."""
        with contextlib.ExitStack() as opened:
            with durable.translated(faults.VOLUME_UNREADABLE, faults.VOLUME_READ_ONLY):
                directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, directory)
                lock = _open_lock(directory)
                opened.callback(os.close, lock)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    by = holder.of_lock(lock)
                    detail = f"{self.path}, by {by}" if by else str(self.path)
                    raise KleidiError(faults.VOLUME_LOCKED, detail) from error
            inodes = _inode(os.fstat(directory)), _inode(os.fstat(lock))
            self._held = _Held(directory, *inodes, is_mount_point(self.path))
            try:
                self.demand_unchanged()  # it may have changed while it was opened
                yield
            finally:
                self._held = None


def _open_lock(directory: int) -> int:
    always = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(_LOCK, os.O_RDWR | os.O_CREAT | always, 0o600, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        # A volume that turned read-only can still be read from, and still be locked: if it ever was.
        try:
            return os.open(_LOCK, os.O_RDONLY | always, dir_fd=directory)
        except FileNotFoundError:
            raise error from None


def digest(sealed: bytes) -> str:
    """What identifies a generation: two may have one number."""
    return hashlib.sha256(sealed).hexdigest()


def _name(generation: int) -> str:
    return f"generation-{generation:08d}.seal"


def _numbers(names: list[str]) -> list[int]:
    return [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_trace(name: str) -> bool:
    return name in TRACES or name == _USED or number_of(name) > 0


def _shown(name: str) -> str:
    """A foreign name may be any bytes; what is told of it stays one line of text."""
    return name if name.isprintable() else ascii(name)
