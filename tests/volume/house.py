"""Everything that one appliance keeps, below directories of a test's own."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import SOFTHSM, Engine, EngineState
from appliance.keys.engines import Engines
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.provision.apply import Provisioner
from appliance.provision.policy import Policy
from appliance.volume.anchor import Anchor
from appliance.volume.audit import AuditLog, Head
from appliance.volume.commit import Committer, Hook
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
from appliance.volume.opening import Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, seal
from tests.fakes import FakeEngine

CHECKOUT = Path(__file__).resolve().parent.parent.parent
KLEIDI = (sys.executable, "-m", "appliance")
CHILD_SECONDS = 60
# Address space, in KiB: a child that runs away must not take the machine with it.
CHILD_MEMORY = 2 << 20
_BOUNDED = ("sh", "-c", f'ulimit -v {CHILD_MEMORY}; exec "$@"', "sh")

Snapshot = dict[str, tuple[bytes, int, int, int]]


@dataclass(frozen=True)
class House:
    root: Path
    memory: Path

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def seal_key(self) -> Path:
        return self.etc / "seal.key"

    @property
    def anchor(self) -> Path:
        return self.etc / "anchor.json"

    @property
    def generation(self) -> Path:
        """The first one."""
        return self.volume / "generation-00000001.seal"

    def build(self) -> Self:
        for directory in (self.volume, self.etc):
            directory.mkdir(mode=0o700, parents=True)
        return self

    def storage(self, slot: str = "file", expected: str | None = None) -> Storage:
        key = self.seal_key if slot == "file" else self.volume / "seal.key"
        return Storage(Volume(self.volume), Custody(slot, key), Anchor(self.anchor), expected)

    def committer(
        self, engine: Engine | None = None, expected: str | None = None, before: tuple[Hook, ...] = ()
    ) -> Committer:
        engines = Engines.of(softhsm=engine or FakeEngine())
        return Committer(self.storage(expected=expected), engines, self.memory, before)

    def provisioner(
        self, engine: Engine | None = None, policy: Policy = Policy.AUTO, before: tuple[Hook, ...] = ()
    ) -> Provisioner:
        committer = self.committer(engine, before=before)
        return Provisioner(committer, policy, "0:1", allow_unmounted=True)

    def put(self, number: int, header: Header | None = None) -> bytes:
        """A generation as kleidi would write it, or with another *header*; gives its bytes."""
        written = header or Header(LINEAGE, number)
        sealed = seal(written, PAYLOAD.to_bytes(), [self.storage().custody.load().hold()])
        self.storage().volume.file(number).write_bytes(sealed)
        return sealed

    @property
    def environment(self) -> dict[str, str]:
        settings = {
            "PROVISION": "auto",
            "SLOT": "file",
            "ALLOW_UNMOUNTED": "true",
            "VOLUME_DIR": str(self.volume),
            "SEAL_KEY_FILE": str(self.seal_key),
            "ANCHOR_FILE": str(self.anchor),
            "MEMORY_DIR": str(self.memory),
            "LOG_FORMAT": "text",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
        return inherited | {f"KLEIDI_{name}": value for name, value in settings.items()}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Any *command* with these settings, bounded in time and memory."""
        return subprocess.run(
            [*_BOUNDED, *command],
            cwd=CHECKOUT,
            env=self.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )

    def kleidi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*KLEIDI, *arguments)

    def snapshot(self) -> Snapshot:
        """Everything that lasts: bytes, mode, inode and time of change of every file."""
        found = {}
        for directory in (self.volume, self.etc):
            for path in sorted(directory.rglob("*")):
                seen = path.stat()
                found[str(path.relative_to(self.root))] = (
                    path.read_bytes(),
                    seen.st_mode,
                    seen.st_ino,
                    seen.st_mtime_ns,
                )
        return found


LINEAGE = "0123456789ab"
OTHER_LINEAGE = "ffffffffffff"


def _payload() -> Payload:
    engine = FakeEngine()
    keys = KeySet(LINEAGE, (Key.born(LINEAGE, 1, KeyState.PRIMARY, engine.generate("k1")),))
    more = {"a1/token.object": b"\x00token" * 50, "a1/b2.object": bytes(range(256)) * 3}
    state = EngineState({**engine.state().files, **more})
    return Payload(keys, {SOFTHSM: state})


PAYLOAD = _payload()


UNTOLD = "it is done, but the audit log does not say so (No space left on device)"


def let_no_end_be_logged(patch: pytest.MonkeyPatch) -> None:
    """The log takes the line before a change, and not the one behind it."""
    append = AuditLog.append

    def half(log: AuditLog, op: str, **fields: object) -> Head:
        if fields.get("phase") == "done":
            raise KleidiError(faults.AUDIT_FAILED, os.strerror(errno.ENOSPC))
        return append(log, op, **fields)

    patch.setattr(AuditLog, "append", half)


def refused(act: Callable[[], object]) -> Fault:
    """The fault that *act* ends with."""
    with pytest.raises(KleidiError) as caught:
        act()
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.fault
