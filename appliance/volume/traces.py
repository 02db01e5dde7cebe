"""What is remembered of a volume, and what of that is not there any more.

A volume that was rolled back looks healthy by itself. The anchor has seen more of it, and so has the audit
log where only the generations went back.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance import regular
from appliance.keys.keyset import KeySet
from appliance.volume.anchor import Memory

# What the audit log calls a first boot.
PROVISION = "provision"
# Of each file no more than this is looked at, from its end: a log's older parts tell of older keys.
_MOST = 64 << 20


@dataclass(frozen=True)
class Shortfall:
    """*generation* was seen here; of its *keys* these are missing, as far as anybody knows."""

    generation: int
    keys: tuple[str, ...]
    why: str


def shortfall(
    keyset: KeySet, generation: int, known: Memory | None, logged: int, accepted: Iterable[str]
) -> Shortfall | None:
    """What is missing of what is *known*, and of the generation that the audit log says was committed.

    *accepted* are the ids of keys whose loss was accepted before. Pure.
    """
    seen = max(known.generation if known else 0, logged)
    gone = {*accepted, *keyset.ids}
    keys = tuple(key for key in (known.keys if known else ()) if key not in gone)
    if seen > generation:
        why = f"generation {seen} was seen here, {generation} is the newest"
    elif known and known.generation == generation and known.keyset not in ("", keyset.hash):
        why = f"another generation {generation} was seen here, with the key set {known.keyset}"
    elif keys:
        why = "keys that were seen here are missing"
    else:
        return None
    return Shortfall(seen, keys, f"{why}: {', '.join(keys)}" if keys else why)


def highest_version(lineage: str, files: Iterable[Path]) -> int:
    """The highest version of a key of *lineage* that any of the *files* names; 0 when none does.

    Whatever cannot be read names nothing.
    """
    form = re.compile(rb"kleidi/%s/v([0-9]{1,6})/" % lineage.encode())
    highest = 0
    for file in files:
        with contextlib.suppress(OSError):
            versions = (int(found[1]) for found in form.finditer(regular.read(file, _MOST)))
            highest = max(highest, max(versions, default=0))
    return highest


def logged_generation(entries: Iterable[dict[str, object]]) -> int:
    """The highest generation that the audit log says was committed."""
    done = (entry.get("generation") for entry in entries if entry.get("phase") == "done")
    return max((number for number in done if type(number) is int), default=0)


def only_begun(entries: Iterable[dict[str, object]]) -> bool:
    """Whether a log tells of nothing but a first boot that was cut off before it made a key. Pure."""
    return [(entry.get("op"), entry.get("phase")) for entry in entries] == [(PROVISION, "begin")]
