"""What is remembered outside the volume only ever goes forward."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.volume.anchor import SCHEMA, Anchor, Memory
from tests.volume.house import LINEAGE, OTHER_LINEAGE, House, refused


def test_nothing_is_remembered_at_first(house: House) -> None:
    assert Anchor(house.anchor).read() is None


def test_comes_back_as_it_was(house: House) -> None:
    anchor = Anchor(house.anchor)
    anchor.advance(Memory(LINEAGE, 3))
    assert anchor.read() == Memory(LINEAGE, 3)
    assert json.loads(house.anchor.read_text()) == {"schema": SCHEMA, "lineage": LINEAGE, "generation": 3}
    assert house.anchor.stat().st_mode & 0o777 == 0o644


def test_goes_forward_and_never_back(house: House) -> None:
    anchor = Anchor(house.anchor)
    for generation, remembered in [(3, 3), (4, 4), (2, 4), (4, 4), (9, 9), (1, 9)]:
        anchor.advance(Memory(LINEAGE, generation))
        assert anchor.read() == Memory(LINEAGE, remembered)


def test_the_same_again_writes_nothing(house: House) -> None:
    anchor = Anchor(house.anchor)
    anchor.advance(Memory(LINEAGE, 3))
    before = house.snapshot()
    anchor.advance(Memory(LINEAGE, 3))
    assert house.snapshot() == before


@pytest.mark.parametrize("generation", [2, 3, 4])
def test_never_goes_over_to_another_lineage(house: House, generation: int) -> None:
    anchor = Anchor(house.anchor)
    anchor.advance(Memory(LINEAGE, 3))
    assert refused(lambda: anchor.advance(Memory(OTHER_LINEAGE, generation))) is faults.LINEAGE_FOREIGN
    assert anchor.read() == Memory(LINEAGE, 3)


GOOD = {"schema": SCHEMA, "lineage": LINEAGE, "generation": 3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "7",
        json.dumps({**GOOD, "schema": "kleidi.anchor/v2"}),
        json.dumps({**GOOD, "lineage": "0123456789AB"}),
        json.dumps({**GOOD, "lineage": 123456789012}),
        json.dumps({**GOOD, "generation": "3"}),
        json.dumps({**GOOD, "generation": 0}),
        json.dumps({**GOOD, "generation": -1}),
        json.dumps({**GOOD, "generation": True}),
        json.dumps({**GOOD, "generation": 3.5}),
        json.dumps({**GOOD, "generation": float("inf")}),
        "[" * 100_000,
        json.dumps(GOOD)[:-1],
    ],
)
def test_a_damaged_one_is_unreadable_and_stays_as_it_is(house: House, text: str) -> None:
    house.anchor.write_text(text)
    assert refused(Anchor(house.anchor).read) is faults.ANCHOR_UNREADABLE
    assert refused(lambda: Anchor(house.anchor).advance(Memory(LINEAGE, 4))) is faults.ANCHOR_UNREADABLE
    assert house.anchor.read_text() == text


@given(st.binary(max_size=60))
def test_any_bytes_are_remembered_or_unreadable(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regular, "read", lambda *_, **__: data)
        try:
            Anchor(Path("/anchor")).read()
        except KleidiError as error:
            assert error.fault is faults.ANCHOR_UNREADABLE  # noqa: PT017


def test_a_directory_in_its_place_is_unreadable_not_absent(house: House) -> None:
    house.anchor.mkdir()
    assert refused(Anchor(house.anchor).read) is faults.ANCHOR_UNREADABLE


def test_one_that_may_not_be_read_is_unreadable_not_absent(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.anchor.write_text(json.dumps(GOOD))
    open_house.anchor.chmod(0o000)
    assert as_nobody(lambda: refused(Anchor(open_house.anchor).read).id) == faults.ANCHOR_UNREADABLE.id


def test_one_that_may_not_be_written_says_so(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.etc.chmod(0o555)
    anchor = Anchor(open_house.anchor)
    fault = as_nobody(lambda: refused(lambda: anchor.advance(Memory(LINEAGE, 1))).id)
    assert fault == faults.ANCHOR_UNWRITABLE.id


def test_without_a_directory_it_says_so(house: House) -> None:
    anchor = Anchor(house.etc / "missing" / "anchor.json")
    assert anchor.read() is None
    assert refused(lambda: anchor.advance(Memory(LINEAGE, 1))) is faults.ANCHOR_UNWRITABLE


def test_without_a_place_nothing_is_remembered() -> None:
    anchor = Anchor(None)
    anchor.advance(Memory(LINEAGE, 1))
    assert anchor.read() is None
