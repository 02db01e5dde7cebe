"""What a later version added is refused as that or kept, wherever it stands; nothing is dropped silently."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from appliance import faults
from appliance.backup import bundle
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import Adopted, Key, KeySet, KeyState, Moment
from appliance.volume.anchor import Anchor, Memory
from appliance.volume.audit import Head
from appliance.volume.payload import Loss, Payload, pack
from appliance.volume.seal import Header, seal, unseal
from appliance.volume.slot import HeldSlot
from tests.fakes import made
from tests.volume.house import LINEAGE, PAYLOAD, House, refused

(_KEY,) = PAYLOAD.keyset.keys
_ADOPTED = Key.born(
    LINEAGE, 3, KeyState.RETIRED, made("k3", b"answer"), Moment(7, 8), Adopted("1", "version.example")
)
# One of everything that there can be.
FULL = Payload(
    KeySet(LINEAGE, (_KEY, _ADOPTED), skipped=(2,)),
    PAYLOAD.engines,
    (HeldSlot("file", {"name": "file"}, bytes(32)),),
    shared=True,
    losses=(Loss(1, 2, 3, ("kleidi/x",), "burnt"),),
    audit=Head(1, "a" * 64),
)
_FILES = ("manifest.json", "secrets.json")
_SUMS = "SHA256SUMS"


def with_more(document: Any) -> Iterator[Any]:  # noqa: ANN401  any JSON
    """*document*, once for each of its objects, with a field more in that one."""
    if isinstance(document, dict):
        yield {**document, "later": "than this"}
    places = document.items() if isinstance(document, dict) else enumerate(document)
    for place, value in places if isinstance(document, dict | list) else ():
        for changed in with_more(value) if isinstance(value, dict | list) else ():
            whole = copy.deepcopy(document)
            whole[place] = changed
            yield whole


def changed_entries() -> Iterator[dict[str, bytes]]:
    entries = FULL.to_entries()
    for name in _FILES:
        for document in with_more(json.loads(entries[name])):
            yield entries | {name: json.dumps(document).encode()}


def outcome(read: Callable[[], Payload]) -> Payload | Fault:
    """The payload, or the fault; it must name what it does not know."""
    try:
        return read()
    except KleidiError as error:
        return error.fault if "'later'" in error.detail else pytest.fail(str(error))


def judged(entries: dict[str, bytes], found: Payload | Fault, fault: Fault) -> bool:
    """Whether it was kept; else it must be refused with *fault*."""
    if isinstance(found, Fault):
        assert found is fault
        return False
    again = found.to_entries()
    assert [json.loads(again[name]) for name in _FILES] == [json.loads(entries[name]) for name in _FILES]
    return True


def test_a_field_more_in_a_payload_is_refused_or_kept() -> None:
    kept = [
        judged(entries, outcome(lambda entries=entries: Payload.from_bytes(pack(entries))), faults.SEAL_NEWER)  # type: ignore[misc]
        for entries in changed_entries()
    ]
    # A slot's values have names that nobody lists.
    assert kept.count(True) == 1
    assert len(kept) >= 12


def test_a_later_schema_of_a_payload_is_newer_and_another_is_damage() -> None:
    entries = FULL.to_entries()
    for schema, fault in (
        ("kleidi.payload/v3", faults.SEAL_NEWER),
        ("another.payload/v1", faults.SEAL_CORRUPT),
    ):
        manifest = json.loads(entries["manifest.json"]) | {"schema": schema}
        data = pack(entries | {"manifest.json": json.dumps(manifest).encode()})
        assert refused(partial(Payload.from_bytes, data)) is fault


def test_a_volume_with_such_a_payload_says_upgrade_and_stays_as_it_is(house: House) -> None:
    house.storage().custody.create()
    entries = FULL.to_entries()
    manifest = json.loads(entries["manifest.json"]) | {"schema": "kleidi.payload/v3"}
    data = pack(entries | {"manifest.json": json.dumps(manifest).encode()})
    sealed = seal(Header(LINEAGE, 1), data, [house.storage().custody.load().hold()])
    house.storage().volume.file(1).write_bytes(sealed)
    before = house.snapshot()
    assert refused(house.provisioner().run) is faults.SEAL_NEWER
    assert {name: found for name, found in house.snapshot().items() if "lock" not in name} == before


def test_a_field_more_in_a_bundle_is_refused_or_kept() -> None:
    for entries in changed_entries():
        whole = bundle.entries(FULL.for_others(), Header(LINEAGE, 1), datetime.now(UTC)) | entries
        whole.pop(_SUMS)
        whole[_SUMS] = bundle._sums(whole)  # noqa: SLF001
        judged(entries, outcome(lambda whole=whole: bundle.read(whole)[1]), faults.BACKUP_NEWER)  # type: ignore[misc]


def test_a_field_more_in_a_seals_header_says_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = HeldSlot("file", {"name": "file"}, bytes(32))
    to_json = Header.to_json
    with monkeypatch.context() as later:
        later.setattr(Header, "to_json", lambda header: {**to_json(header), "later": "than this"})
        sealed = seal(Header(LINEAGE, 4), b"payload", [slot])
    assert refused(lambda: unseal(sealed, [slot])) is faults.SEAL_NEWER
    assert unseal(seal(Header(LINEAGE, 4), b"payload", [slot]), [slot])[1] == b"payload"


def test_an_anchor_with_a_field_more_is_not_written_over(house: House) -> None:
    memory = Memory(LINEAGE, 3, "a" * 64, "1234-abcd", ("kleidi/x",), 3)
    text = json.dumps(memory.to_json() | {"later": "than this"})
    house.anchor.write_text(text)
    anchor = Anchor(house.anchor)
    assert refused(anchor.read) is faults.ANCHOR_UNREADABLE
    assert refused(lambda: anchor.advance(replace(memory, generation=4))) is faults.ANCHOR_UNREADABLE
    assert house.anchor.read_text() == text
