"""One node below a root directory: look at what is there, plan what is missing. Planning changes nothing."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import layout
from appliance.install.layout import OURS, Place, Room
from appliance.install.steps import Keep, MakeDirectory, MakeSealKey, Own, Remove, Step, Write
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution
from appliance.volume import durable
from appliance.volume.custody import Custody, KeyFile

_ROLE = re.compile(r"^[^#\n]*\bKLEIDI_PROVISION\b\W+(?:value\W+)?(auto|join)\b", re.MULTILINE)
_PERMISSIONS = 0o7777


class Node:
    def __init__(self, root: Path) -> None:
        self._root = root

    def installation(self, distribution: Distribution, described: Description) -> list[Step]:
        """In the order to do them; what starts the appliance comes last. Raises what speaks against it."""
        with _translated():
            places = list(layout.places(distribution, described))
            self._check_role(places, described.role)
            steps: list[Step] = []
            for room in layout.rooms(described):
                steps += self._furnish(room)
            steps += self._seal_key(described)
            steps += self._configuration(described)
            for place in places:
                steps += self._place(place)
            return steps

    def removal(self, described: Description, *, force: bool) -> list[Step]:
        """Takes off what only starts the appliance; keys, volume, configuration stay, each for a reason."""
        with _translated():
            if not force:
                self._check_unused(described)
            return [*self._departures(), *self._remains(described)]

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _read(self, path: str) -> str | None:
        """The text of a file, None where there is none."""
        found = self._at(path)
        try:
            return found.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except (IsADirectoryError, NotADirectoryError) as error:
            raise KleidiError(faults.INSTALL_OCCUPIED, str(found)) from error

    def _check_role(self, places: list[Place], role: Role) -> None:
        for place in places:
            before = _ROLE.search(self._read(place.path) or "")
            if before and before[1] == Role.JOIN and role is Role.FIRST:
                raise KleidiError(faults.INSTALL_ROLE, str(self._at(place.path)))

    def _check_unused(self, described: Description) -> None:
        text = self._read(described.encryption_config) or ""
        live = "\n".join(line.partition("#")[0] for line in text.splitlines())
        if re.search(rf"unix:(//)?{re.escape(described.socket)}\b", live):
            raise KleidiError(faults.INSTALL_IN_USE, str(self._at(described.encryption_config)))

    def _furnish(self, room: Room) -> Iterator[Step]:
        path = self._at(room.path)
        if not path.is_dir():
            if path.exists() or path.is_symlink():
                raise KleidiError(faults.INSTALL_OCCUPIED, str(path))
            yield MakeDirectory(path, room.mode, room.uid)
            return
        status = path.stat()
        if (status.st_mode & _PERMISSIONS, status.st_uid) != (room.mode, room.uid):
            yield MakeDirectory(path, room.mode, room.uid)
        for entry in sorted(path.iterdir()) if room.keeps else []:
            if entry.is_file() and entry.lstat().st_uid != room.uid:
                yield Own(entry, room.uid)

    def _seal_key(self, described: Description) -> Iterator[Step]:
        secrets = self._at(described.secrets)
        custody = Custody("file", secrets / "seal.key")
        match custody.look():
            case KeyFile.PRESENT:
                return
            case KeyFile.INVALID:
                custody.load()  # raises why
            case _:
                pass
        traces = [custody.used(), (secrets / "anchor.json").exists(), any(self._generations(described))]
        if any(traces):
            raise KleidiError(faults.INSTALL_KEY_LOST, str(custody.path))
        yield MakeSealKey(custody.path, described.uid)

    def _generations(self, described: Description) -> Iterator[Path]:
        return self._at(described.volume).glob("generation-*.seal")

    def _configuration(self, described: Description) -> Iterator[Step]:
        place = layout.configuration(described)
        text = self._read(place.path)
        if text is None:
            yield Write(self._at(place.path), place.text, place.mode, replaces=False)
        elif text != place.text:
            yield Keep(self._at(place.path), "it was edited, and what it names may be needed to read Secrets")

    def _place(self, place: Place) -> Iterator[Step]:
        text = self._read(place.path)
        path = self._at(place.path)
        if text is not None and OURS not in text:
            raise KleidiError(faults.INSTALL_OCCUPIED, str(path))
        if text != place.text or path.stat().st_mode & _PERMISSIONS != place.mode:
            yield Write(path, place.text, place.mode, replaces=text is not None)

    def _departures(self) -> Iterator[Step]:
        for path in layout.every_path():
            text = self._read(path)
            if text is not None and OURS in text:
                yield Remove(self._at(path))
            elif text is not None:
                yield Keep(self._at(path), "it is not ours")

    def _remains(self, described: Description) -> Iterator[Step]:
        reasons = {
            described.volume: "it has the keys; etcd and its backups may still need them",
            described.secrets: "it has the seal key, without which the volume is lost",
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
