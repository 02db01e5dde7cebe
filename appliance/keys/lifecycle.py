"""What an operator may do with a key, as pure steps from one key set to the next.

Each step returns the new key set or raises the KleidiError that refuses it; nothing is changed in place.
"""

from dataclasses import replace
from datetime import UTC, datetime

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import SOFTHSM, Made
from appliance.keys.keyset import Adopted, Key, KeySet, KeyState, Moment


def find(keyset: KeySet, name: str) -> Key:
    """The key that an operator names: v3, or a whole key id."""
    for key in keyset.keys:
        if name in (key.name, key.id):
            return key
    known = ", ".join(key.name for key in keyset.keys)
    raise KleidiError(faults.KEY_NO_SUCH, f"{name}; there are {known}")


def next_version(keyset: KeySet, taken: int = 0) -> int:
    """Above every version that there is and the highest one that anything remembers, *taken*."""
    return max(keyset.newest, taken) + 1


def stage(keyset: KeySet, made: Made, now: Moment, taken: int = 0, engine: str = SOFTHSM) -> KeySet:
    """Add a key of that *engine*, which decrypts and is announced nowhere yet."""
    refuse_second_staged(keyset)
    # In a cluster that began there all nodes count as the engine does.
    shared = made.number if made.lineage == keyset.lineage else 0
    version = max(next_version(keyset, taken), shared)
    return keyset.with_keys(Key.born(keyset.lineage, version, KeyState.STAGED, made, now, engine=engine))


def discover(keyset: KeySet, made: Made, version: int, now: Moment, engine: str) -> KeySet:
    """Add a key that another node staged under that *version*: it decrypts, and is announced nowhere here.

    Raises E-KEYSET-CONFLICT when the version is another key's.
    """
    if any(key.version == version for key in keyset.keys):
        raise KleidiError(faults.KEYSET_CONFLICT, f"v{version} is another key here")
    key = Key.born(keyset.lineage, version, KeyState.STAGED, made, now, engine=engine)
    return keyset.with_found(key)


def refuse_second_staged(keyset: KeySet) -> None:
    for key in keyset.keys:
        if key.state is KeyState.STAGED:
            raise KleidiError(faults.KEY_STAGED_ALREADY, key.id)


def adopt(  # noqa: PLR0913, PLR0917  all that is known of a key meets here
    keyset: KeySet, made: Made, adopted: Adopted, now: Moment, taken: int = 0, engine: str = SOFTHSM
) -> KeySet:
    """Add another plugin's key: it decrypts and never encrypts."""
    refuse_second_adopted(keyset, adopted)
    version = next_version(keyset, taken)
    return keyset.with_keys(Key.born(keyset.lineage, version, KeyState.RETIRED, made, now, adopted, engine))


def refuse_second_adopted(keyset: KeySet, adopted: Adopted) -> None:
    if any(key.id == adopted.key_id for key in keyset.keys):
        raise KleidiError(faults.KEY_ADOPTED_ALREADY, adopted.key_id)


def promote(keyset: KeySet, key: Key, now: Moment) -> KeySet:
    """Make the staged *key* the primary one. No key ever comes back: a second time would hide stale data."""
    _demand(key, "promote", KeyState.STAGED)
    retired = replace(keyset.primary, state=KeyState.RETIRED, since=now)
    # Both at once: between two steps there would be no primary key, or two.
    return keyset.with_keys(retired, replace(key, state=KeyState.PRIMARY, since=now))


def retire(keyset: KeySet, key: Key, now: Moment) -> KeySet:
    """Give up the staged *key*. It still decrypts, for another node may have used it."""
    _demand(key, "retire", KeyState.STAGED)
    return keyset.with_keys(replace(key, state=KeyState.RETIRED, since=now))


def disable(keyset: KeySet, key: Key, now: Moment) -> KeySet:
    _demand(key, "disable", KeyState.RETIRED)
    return keyset.with_keys(replace(key, state=KeyState.DISABLED, since=now))


def enable(keyset: KeySet, key: Key, now: Moment) -> KeySet:
    _demand(key, "enable", KeyState.DISABLED)
    return keyset.with_keys(replace(key, state=KeyState.RETIRED, since=now))


def destroy(keyset: KeySet, key: Key, typed: str, wait_seconds: int, now: Moment) -> KeySet:
    """Leave a tombstone of *key*. It must have been disabled for *wait_seconds* by both clocks."""
    _demand(key, "destroy", KeyState.DISABLED)
    if typed != key.id:
        raise KleidiError(faults.KEY_ID_MISMATCH, f"typed {typed or 'nothing'}")
    # The wall clock can be set; time served cannot, but stands still while the appliance is down.
    if now.unix - key.since.unix < wait_seconds or now.served - key.since.served < wait_seconds:
        raise KleidiError(faults.KEY_TOO_EARLY, _when(key.since, wait_seconds, now))
    return keyset.with_keys(replace(key, state=KeyState.DESTROYED, since=now))


def _when(since: Moment, wait_seconds: int, now: Moment) -> str:
    """From when on a wait that began at *since* is over, by both clocks."""
    day = datetime.fromtimestamp(since.unix + wait_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    missing = since.served + wait_seconds - now.served
    # While it serves, both go on alike; it only has to be said where one is behind.
    if now.served - since.served < now.unix - since.unix and missing > 0:
        return f"from {day} on, after {missing / 3600:.1f} h more of serving"
    return f"from {day} on"


def _demand(key: Key, verb: str, *states: KeyState) -> None:
    if key.state in states:
        return
    if key.state is KeyState.PRIMARY:
        raise KleidiError(faults.KEY_IS_PRIMARY, key.id)
    wanted = " or ".join(states)
    raise KleidiError(faults.KEY_STATE, f"{key.id} is {key.state}; {verb} takes a {wanted} key")
