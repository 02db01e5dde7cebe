"""What an installation does to a node, one step each. A step that is done leaves nothing to do."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.volume import durable
from appliance.volume.custody import Custody


class Step(Protocol):
    """Its text is what `--dry-run` prints."""

    def __str__(self) -> str: ...

    def apply(self) -> None: ...


@dataclass(frozen=True)
class MakeDirectory:
    path: Path
    mode: int
    uid: int
    gid: int

    def __str__(self) -> str:
        group = f" and group {self.gid}" if self.gid != self.uid else ""
        return f"directory {self.path} {self.mode:04o} of user {self.uid}{group}"

    def apply(self) -> None:
        _make_parents(self.path.parent)
        self.path.mkdir(mode=0o700, exist_ok=True)
        os.chown(self.path, self.uid, self.gid)
        self.path.chmod(self.mode)


@dataclass(frozen=True)
class Own:
    """A file that the appliance wrote as another user. It may be at work: what is gone meanwhile is fine."""

    path: Path
    uid: int

    def __str__(self) -> str:
        return f"owner of {self.path} becomes user {self.uid}"

    def apply(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.chown(self.path, self.uid, self.uid, follow_symlinks=False)


@dataclass(frozen=True)
class Show:
    """A file that an API server without root's rights must read."""

    path: Path
    mode: int
    gid: int

    def __str__(self) -> str:
        return f"group of {self.path} becomes {self.gid}, {self.mode:04o}"

    def apply(self) -> None:
        os.chown(self.path, -1, self.gid)
        self.path.chmod(self.mode)


@dataclass(frozen=True)
class MakeSealKey:
    path: Path
    uid: int

    def __str__(self) -> str:
        return f"seal key {self.path}, 32 random bytes: back it up, apart from the volume"

    def apply(self) -> None:
        durable.sweep(self.path.parent, self.path.name)
        Custody("file", self.path).create()
        os.chown(self.path, self.uid, self.uid)


@dataclass(frozen=True)
class Write:
    path: Path
    text: str
    mode: int
    replaces: bool
    gid: int = 0
    # Lines that stood there and do not any more: nothing of an operator's goes in silence.
    gone: tuple[str, ...] = ()

    def __str__(self) -> str:
        without = f", without: {'; '.join(self.gone)}" if self.gone else ""
        return f"{'new text for' if self.replaces else 'file'} {self.path} {self.mode:04o}{without}"

    def apply(self) -> None:
        """By one rename, from outside of the directory: a kubelet takes every file in its own for a pod."""
        _make_parents(self.path.parent)
        scratch = self.path.parent.parent / f"{durable.SCRATCH_PREFIX}kleidi-{secrets.token_hex(4)}"
        # Of a run that was cut off: the text on its way, and on the way to there.
        for name in ("kleidi-", f"{durable.SCRATCH_PREFIX}kleidi-"):
            durable.sweep(scratch.parent, name)
        try:
            durable.write(scratch, self.text.encode(), self.mode)
            os.chown(scratch, -1, self.gid)
            scratch.rename(self.path)
        finally:
            scratch.unlink(missing_ok=True)
        durable.sync_directory(self.path.parent)


@dataclass(frozen=True)
class Remove:
    path: Path

    def __str__(self) -> str:
        return f"remove {self.path}"

    def apply(self) -> None:
        self.path.unlink()
        durable.sync_directory(self.path.parent)


@dataclass(frozen=True)
class Keep:
    """Nothing is done, and the operator should know why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} stays: {self.reason}"

    def apply(self) -> None:
        """Stays as it is."""


def _make_parents(path: Path) -> None:
    """Directories that are the node's and not ours: as a package would make them, whatever the umask."""
    if not path.is_dir():
        _make_parents(path.parent)
        path.mkdir()
        path.chmod(0o755)
