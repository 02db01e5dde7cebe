"""The whole runbook: each fault's entry from what is said by hand and what follows from its kind."""

from difflib import get_close_matches

from appliance.faults import Fault
from appliance.runbook import calls, changes, pkcs11, serving, storage, surroundings, tpm, transit
from appliance.runbook.effects import OF_KIND
from appliance.runbook.entry import Advice, Entry, Room

# In the order of the faults' tables.
ROOMS = (
    storage.ROOM,
    serving.ROOM,
    calls.ROOM,
    changes.ROOM,
    surroundings.ROOM,
    transit.ROOM,
    pkcs11.ROOM,
    tpm.ROOM,
)
_PREFIX = "E-"
_NEAR = 5
_NOT_SAID = Advice()


def entries() -> list[Entry]:
    """Of every fault, in the order of the tables."""
    return [_entry(room, fault) for room in ROOMS for fault in _faults(room)]


def entry(typed: str) -> Entry | None:
    """Of the fault whose id was *typed*, in capitals or not, with its `E-` or without."""
    wanted = _id(typed)
    return next((each for each in entries() if each.fault.id == wanted), None)


def near(typed: str) -> list[str]:
    """A few ids that may have been meant: those that hold what was *typed*, else those that look like it."""
    wanted = _id(typed)
    ids = [each.fault.id for each in entries()]
    word = wanted.removeprefix(_PREFIX)
    holding = [each for each in ids if word and f"-{word}" in each]
    return (holding or get_close_matches(wanted, ids, _NEAR))[:_NEAR]


def _id(typed: str) -> str:
    # Copied out of a line it has its colon.
    name = typed.strip().rstrip(":").upper()
    return name if name.startswith(_PREFIX) else _PREFIX + name


def _faults(room: Room) -> list[Fault]:
    return [each for each in vars(room.table).values() if isinstance(each, Fault)]


def _entry(room: Room, fault: Fault) -> Entry:
    said = room.advice.get(fault, _NOT_SAID)
    effect = said.effect or OF_KIND[fault.kind]
    return Entry(
        fault,
        room.title,
        None if said.felt else effect,
        said.felt or f"{effect.brief}. {effect.whole}",
        said.look or room.look,
        (fault.remedy, *said.do),
        said.wake or effect.wake,
        said.when or ("" if said.wake else effect.when),
    )
