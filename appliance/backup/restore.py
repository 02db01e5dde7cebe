"""From a bundle to a volume: only into an empty one, with the bundle's lineage, keys and generation.

Nothing is merged and no key is made. The policy (KLEIDI_PROVISION) has no say: that is about making keys.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeySet
from appliance.volume.commit import Change, Committer, Done
from appliance.volume.generations import UNFIT, VolumeState
from appliance.volume.mounts import mount_of
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import Header


@dataclass(frozen=True)
class Restorer:
    """*verb* is what the audit log calls it, *by* who asked for it."""

    committer: Committer
    allow_unmounted: bool
    by: str
    verb: str = "restore"

    @property
    def storage(self) -> Storage:
        return self.committer.storage

    def run(self, header: Header, payload: Payload, *, source: str, dry_run: bool) -> Done | None:
        """Commit what was examined, sealed under this node's own key. None for a dry run.

        Killed at any moment it leaves the volume empty or restored; a second run goes on, or says that it is
        done.
        """
        self.refuse(header)
        if dry_run:
            return None
        with self.storage.volume.lock():
            # Once more under the lock: a provisioner may have been faster.
            self.refuse(header)
            self.storage.sweep()
            told = {"lineage": header.lineage, "keyset": payload.keyset.hash, "source": source}
            ours = replace(payload, keyset=_with_time_anew(payload.keyset))
            return self.committer.first(header, lambda: self._ours(ours), Change(self.verb, self.by, told))

    def _ours(self, payload: Payload) -> Payload:
        """Under this node's own slots: those of whoever made the bundle are not its business."""
        return replace(payload, slots=self.storage.first_slots())

    def refuse(self, header: Header) -> None:
        """Raise KleidiError unless this volume may take a bundle of *header*."""
        survey = self.storage.volume.survey()
        if fault := UNFIT.get(survey.state):
            raise KleidiError(fault, ", ".join(survey.strangers))
        if survey.state is VolumeState.SEALED:
            raise KleidiError(faults.RESTORE_NOT_EMPTY, self._what_is_there(header))
        known = self.storage.anchor.read()  # unreadable is no permission
        marked = self.storage.custody.used_for()
        for lineage in (self.storage.expected_lineage, known.lineage if known else "", marked):
            if lineage and lineage != header.lineage:
                raise KleidiError(faults.BACKUP_FOREIGN, f"{header.lineage}, {lineage} is remembered here")
        if not (survey.mounted or self.allow_unmounted):
            raise KleidiError(faults.VOLUME_NOT_MOUNTED)

    def warnings(self, header: Header, payload: Payload) -> tuple[Fault, ...]:
        """What is known already of what would be missing."""
        missing = self.storage.shortfall(Opened(header, payload, ""))
        return (faults.ROLLED_BACK,) if missing else ()

    def _what_is_there(self, header: Header) -> str:
        try:
            there = self.storage.header(self.storage.volume.survey())
        except KleidiError as error:
            return error.fault.id
        same = (there.lineage, there.generation) == (header.lineage, header.generation)
        done = ", which is this bundle's: there is nothing to do" if same else ""
        return f"lineage {there.lineage}, generation {there.generation}{done}"


def _with_time_anew(keyset: KeySet) -> KeySet:
    """Waiting times by the clock of time served begin again: the node that counted is not this one."""
    keys = (replace(key, since=replace(key.since, served=0)) for key in keyset.keys)
    return replace(keyset, keys=tuple(keys))


def lay_aside(found: dict[str, bytes], directory: Path) -> None:
    """Unpack a bundle's entries to look at with SoftHSM's own tools. Whoever reads them has every key."""
    if not mount_of(directory).in_memory:
        raise KleidiError(faults.MEMORY_UNSAFE, f"{directory}; take one below /dev/shm")
    try:
        directory.mkdir(mode=0o700)
        for name, data in found.items():
            path = directory / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)
        tokens = directory / "tokens"
        (directory / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    except OSError as error:
        raise KleidiError(faults.BACKUP_FAILED, f"{error.strerror}: {error.filename}") from error
