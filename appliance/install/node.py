"""One node below a root directory: look at what is there, plan what is missing. Planning changes nothing."""

import contextlib
import errno
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import chip, in_use, kept, layout, taking_over
from appliance.install.before import Before
from appliance.install.layout import OURS, Place, Room
from appliance.install.rooted import Rooted
from appliance.install.steps import Keep, MakeDirectory, MakeSealKey, Own, Remove, Show, Step, Write
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution
from appliance.manifests.slots import SlotName
from appliance.volume import durable
from appliance.volume.custody import Custody
from appliance.volume.slot import Presence

_ROLE = re.compile(r"^[^#\n]*\bKLEIDI_PROVISION\b\W+(?:value\W+)?(auto|join)\b", re.MULTILINE)
_SLOT = re.compile(r"^[^#\n]*\bKLEIDI_SLOT\b\W+(?:value\W+)?(\w+)", re.MULTILINE)
_PERMISSIONS = 0o7777
_NOT_OURS = "it is not ours"
# In bytes.
_MOST = 1024 * 1024
# A directory, a device or a FIFO; a file in the way of a directory; something huge (regular.py).
_NO_FILE_OF_OURS = (errno.EINVAL, errno.ENOTDIR, errno.ENXIO, errno.EFBIG)


class Node:
    def __init__(self, root: Path) -> None:
        self._node = Rooted(root)

    def installation(
        self, distribution: Distribution, described: Description, before: Before = Before.REFUSE
    ) -> list[Step]:
        """In the order to do them; what starts the appliance comes last. Raises what speaks against it.

        *before* says what is done about an API server that encrypts already.
        """
        with _translated():
            described = chip.given(self._node, distribution, described)
            places = list(layout.places(distribution, described))
            self._check_role(places, described.role)
            steps: list[Step] = []
            for room in layout.rooms(distribution, described):
                steps += self._furnish(room)
            if self._slot(places, described) == SlotName.FILE:
                steps += self._seal_key(described)
            steps += self._configuration(described, taking_over.configuration(self._node, described, before))
            for place in places:
                steps += self._place(place, described.decides)
            return steps

    def removal(self, described: Description, *, force: bool, stored: int | None = None) -> list[Step]:
        """Takes off what only starts the appliance; keys, volume, configuration stay, each for a reason.

        *stored* is how many objects a whole count found under our keys. Without *force*, raises what still
        needs them.
        """
        with _translated():
            if not force:
                self._check_unused(described, stored)
            return [*self._departures(), *self._remains(described)]

    def _at(self, path: str) -> Path:
        return self._node.at(path)

    def _read(self, path: str) -> str | None:
        """The text of a file, None where there is none."""
        try:
            data = self._node.read(path, _MOST)
        except OSError as error:
            if error.errno in _NO_FILE_OF_OURS:
                raise KleidiError(faults.INSTALL_OCCUPIED, str(self._at(path))) from error
            raise
        return None if data is None else data.decode(errors="replace")

    def _check_role(self, places: list[Place], role: Role) -> None:
        for place in places:
            if place.needed and role is Role.FIRST and self._role(place.path) == Role.JOIN:
                raise KleidiError(faults.INSTALL_ROLE, str(self._at(place.path)))

    def _role(self, path: str) -> str:
        """What a manifest that is there says; "" where it says nothing of it."""
        said = _ROLE.search(self._read(path) or "")
        return said[1] if said else ""

    def _slot(self, places: list[Place], described: Description) -> str:
        """What is to open the seal by itself: as asked for, else as the node's manifest or settings say."""
        if described.slot.name is not None:
            return described.slot.name
        for place in filter(lambda place: place.needed, places):
            if said := _SLOT.search(self._read(place.path) or ""):
                return said[1]
        try:
            settings = tomllib.loads(self._read(f"{described.secrets}/config.toml") or "")
        except tomllib.TOMLDecodeError:  # the appliance will say so
            settings = {}
        return str(settings.get("slot", SlotName.FILE))

    def _check_unused(self, described: Description, stored: int | None) -> None:
        held = self._held_keys(described)
        if not held and self._only_waits(described):
            return
        in_use.check_configurations(self._node, described)
        if held or stored:
            in_use.check_count(stored)

    def _only_waits(self, described: Description) -> bool:
        """It has no keys until somebody brings them, and API servers are told of no more than we wrote.

        So a node that was installed for the wrong role can be installed anew. One that makes its key itself
        may do so at any moment.
        """
        waits = Role.JOIN in map(self._role, filter(layout.needed, layout.every_path()))
        ours = self._read(described.encryption_config) in (None, layout.configuration(described).text)
        return waits and ours and not in_use.is_told_by_others(self._node)

    def _furnish(self, room: Room) -> Iterator[Step]:
        path = self._at(room.path)
        if not path.is_dir():
            if not room.needed:
                return
            if path.exists() or path.is_symlink():
                raise KleidiError(faults.INSTALL_OCCUPIED, str(path))
            yield MakeDirectory(path, room.mode, room.uid, room.gid)
            return
        status = path.stat()
        now = (status.st_mode & _PERMISSIONS, status.st_uid, status.st_gid)
        if now != (room.mode, room.uid, room.gid):
            yield MakeDirectory(path, room.mode, room.uid, room.gid)
        for entry in sorted(path.iterdir()) if room.keeps else []:
            with contextlib.suppress(FileNotFoundError):  # the appliance may be at work
                found = entry.lstat()
                if stat.S_ISREG(found.st_mode) and found.st_uid != room.uid:
                    yield Own(entry, room.uid)

    def _seal_key(self, described: Description) -> Iterator[Step]:
        secrets = self._at(described.secrets)
        custody = Custody("file", secrets / "seal.key")
        match custody.look()[0]:
            case Presence.PRESENT:
                return
            case Presence.INVALID:
                custody.load()  # raises why
            case _:
                pass
        if self._held_keys(described):
            raise KleidiError(faults.INSTALL_KEY_LOST, str(custody.path))
        yield MakeSealKey(custody.path, described.uid)

    def _held_keys(self, described: Description) -> bool:
        """Whether there are traces of a sealed volume."""
        secrets = self._at(described.secrets)
        sealed = (Path(path).match("generation-*.seal") for path in self._node.names(described.volume))
        return (
            Custody("file", secrets / "seal.key").used() or (secrets / "anchor.json").exists() or any(sealed)
        )

    def _configuration(self, described: Description, wanted: str) -> Iterator[Step]:
        place = layout.configuration(described)
        path = self._at(place.path)
        text = self._read(place.path)
        if text is None or (text == place.text and text != wanted):
            yield Write(path, wanted, place.mode, replaces=text is not None, gid=place.gid)
            return
        if text != wanted:
            yield Keep(path, "it was edited, and what it names may be needed to read Secrets")
        status = path.stat()
        if place.gid and (status.st_gid, status.st_mode & place.mode) != (place.gid, place.mode):
            yield Show(path, place.mode, place.gid)

    def _place(self, place: Place, decided: AbstractSet[str]) -> Iterator[Step]:
        path = self._at(place.path)
        if not place.needed and (reason := self._why_not(place.path)):
            yield Keep(path, reason)
            return
        text = self._read(place.path)
        if text is not None and OURS not in text:
            raise KleidiError(faults.INSTALL_OCCUPIED, str(path))
        try:
            wanted = place.text if text is None else kept.carried(text, place.text, decided)
        except ValueError as error:
            raise KleidiError(faults.INSTALL_OCCUPIED, f"{path}: {error}") from error
        if text != wanted or path.stat().st_mode & _PERMISSIONS != place.mode:
            gone = () if text is None else tuple(kept.lost(text, wanted))
            yield Write(path, wanted, place.mode, replaces=text is not None, gone=gone)

    def _why_not(self, path: str) -> str:
        """What speaks against writing a file that can be done without."""
        if self._is_ours(path) is False:
            return _NOT_OURS
        above = self._at(path).parent
        while not above.exists():
            above = above.parent
        return "its file system is read-only" if os.statvfs(above).f_flag & os.ST_RDONLY else ""

    def _is_ours(self, path: str) -> bool | None:
        """None where there is nothing."""
        if not layout.needed(path):
            place = self._at(path)
            if place.is_symlink() or (place.exists() and not place.is_file()):
                return False
        text = self._read(path)
        return None if text is None else OURS in text

    def _departures(self) -> Iterator[Step]:
        for path in layout.every_path():
            match self._is_ours(path):
                case True:
                    yield Remove(self._at(path))
                case False:
                    yield Keep(self._at(path), _NOT_OURS)

    def _remains(self, described: Description) -> Iterator[Step]:
        reasons = {
            described.volume: "it has the keys; etcd and its backups may still need them",
            described.secrets: "it has the seal key, or what else remembers the volume",
            described.encryption_config: "kube-apiserver does not start without a file that it is told of",
        }
        for path, reason in reasons.items():
            if self._at(path).exists():
                yield Keep(self._at(path), reason)


def apply(steps: list[Step]) -> None:
    with _translated():
        for step in steps:
            step.apply()


def _translated() -> contextlib.AbstractContextManager[None]:
    return durable.translated(faults.INSTALL_FAILED, faults.INSTALL_DENIED, faults.INSTALL_FAILED)
