"""What an operator wrote into a file of ours: settings and mounts go over into its next text. Pure."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import yaml

from appliance.install import document
from appliance.install.document import Json

_PROVISION = "KLEIDI_PROVISION"
# What an option of the installer says, each time anew.
_OPTIONS = {"KLEIDI_SOCKET_GROUP"}
_VALUE = re.compile(rf'({_PROVISION}\n\s+value: ")auto"')
_LINE = re.compile(rf"^(Environment={_PROVISION}=)auto$", re.MULTILINE)
_TOLD = re.compile(rf"^(Image|Pull)=|\.image(PullPolicy)?: |{_PROVISION}")
_POD_KIND = "\nkind: Pod\n"


def carried(before: str, text: str, decided: AbstractSet[str] = frozenset()) -> str:
    """*text* with what stands in *before* beside our own. Raises ValueError where that cannot be read.

    The settings *decided* are what *text* says of them, also where it says nothing.
    KLEIDI_PROVISION=never, which an operator writes once there is a key, never becomes `auto` again.
    """
    said = _OPTIONS | decided
    if _POD_KIND in text:
        return _pod(document.read_one(before.encode()), document.read_one(text.encode()), text, said)
    return _unit(before, text, said) if "\n[Container]\n" in text else text


def lost(before: str, text: str) -> list[str]:
    """What *before* says and *text* does not; image and role are what an installation is for."""
    said = set(_said(text))
    return [each for each in _said(before) if each not in said and not _TOLD.search(each)]


def _said(text: str) -> Iterator[str]:
    """Line by line; of a pod value by value, however that is written."""
    if _POD_KIND in text:
        yield from _leaves("", document.read_one(text.encode()))
        return
    yield from (f"Environment={said}" for _, said in _settings(text))
    lines = (line.strip() for line in text.splitlines())
    yield from (line for line in lines if line and not line.startswith(("#", "Environment=")))


def _leaves(path: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    match value:
        case dict():
            for name, inner in value.items():
                yield from _leaves(f"{path}.{name}".lstrip("."), inner)
        case list():
            for inner in value:
                name = inner.get("name", "") if isinstance(inner, dict) else ""
                yield from _leaves(f"{path}[{name}]", inner)
        case _:
            yield f"{path}: {value}"


def _pod(before: Json, after: Json, text: str, said: AbstractSet[str]) -> str:
    [old, *_], [new, *_] = (document.mappings(pod, "spec", "containers") or [{}] for pod in (before, after))
    settings = _by(document.mappings(old, "env"), "name")
    if settings.get(_PROVISION, {}).get("value") == "never":
        text = _VALUE.sub(r'\1never"', text)
    ours = _by(document.mappings(new, "env"), "name").keys() | said
    more = _listed([each for name, each in settings.items() if name not in ours], 4)
    text = text.replace("\n    securityContext:\n", f"\n{more}    securityContext:\n", 1)
    volumes = [document.mappings(pod, "spec", "volumes") for pod in (before, after)]
    mounts = [document.mappings(one, "volumeMounts") for one in (old, new)]
    moved = _moved(*volumes)
    mounts[0] = [mount for mount in mounts[0] if mount.get("name") not in moved]
    more = _listed(_beside(mounts[0], mounts[1], "mountPath"), 4)
    text = text.replace("\n  volumes:\n", f"\n{more}  volumes:\n", 1)
    return text + _listed(_beside(volumes[0], volumes[1], "name"), 2)


def _by(entries: list[Json], field: str) -> dict[str, Json]:
    return {str(entry.get(field)): entry for entry in entries}


def _beside(old: list[Json], new: list[Json], field: str) -> list[Json]:
    ours = _by(new, field)
    return [entry for name, entry in _by(old, field).items() if name not in ours]


def _moved(old: list[Json], new: list[Json]) -> set[str]:
    """Volumes of ours that show another directory now; a mount of the one before goes with it."""
    before, after = _by(old, "name"), _by(new, "name")
    return {name for name in before.keys() & after.keys() if _source(before[name]) != _source(after[name])}


def _source(volume: Json) -> Any:  # noqa: ANN401
    found = volume.get("hostPath")
    return found.get("path") if isinstance(found, dict) else None


def _listed(entries: list[Json], indent: int) -> str:
    if not entries:
        return ""
    return textwrap.indent(yaml.safe_dump(entries, sort_keys=False, width=1000), " " * indent)


def _unit(before: str, text: str, said: AbstractSet[str]) -> str:
    settings = dict(_settings(before))
    ours = dict(_settings(text)).keys() | said
    if settings.get(_PROVISION) == f"{_PROVISION}=never":
        text = _LINE.sub(r"\1never", text)
    more = [f"Environment={_quoted(word)}" for name, word in settings.items() if name not in ours]
    # A server that keys lie in is still asked, whatever makes the next key.
    for network in _lines(before, "Network"):
        text = text.replace("\nNetwork=none\n", f"\nNetwork={network}\n", 1)
    seen = {_inside(line) for line in _lines(text, "Volume")}
    more += [f"Volume={line}" for line in _lines(before, "Volume") if _inside(line) not in seen]
    added = "".join(f"{line}\n" for line in more)
    return text.replace("\nPodmanArgs=", f"\n{added}PodmanArgs=", 1)


def _lines(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Name, and `NAME=value`. One line may have several (systemd.exec(5))."""
    for line in _lines(text, "Environment"):
        for word in shlex.split(line):
            yield word.partition("=")[0], word


def _quoted(word: str) -> str:
    if not re.search(r"[\s\"'\\]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inside(volume: str) -> str:
    return volume.split(":")[1] if ":" in volume else volume
