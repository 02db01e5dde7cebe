"""The closed table of everything that can go wrong."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Exit, Fault, Kind, KleidiError

EVERY = faults.every()


def test_no_id_is_given_twice() -> None:
    # A second fault of one id would silently become the first.
    tables = Path(faults.__file__).parent.glob("*.py")
    written = [name for table in tables for name in re.findall(r'fault\("(E-[^"]+)"', table.read_text())]
    assert sorted(written) == sorted(fault.id for fault in EVERY)
    assert len(set(written)) == len(written) > 0


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.id)
def test_has_a_stable_form(fault: Fault) -> None:
    assert re.fullmatch(r"E-[A-Z][A-Z0-9]*(-[A-Z]+)*", fault.id)
    for text in (fault.sentence, fault.remedy):
        assert text
        assert text == text.strip()
        assert not text.endswith(".")
        assert text.isascii()
        assert text.isprintable()
    assert fault.sentence[0].islower() or fault.sentence.startswith("libsofthsm2")
    assert fault.remedy[0].isupper()
    assert str(fault) == f"{fault.id}: {fault.sentence}. {fault.remedy}."


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.id)
def test_never_ends_a_command_with_success(fault: Fault) -> None:
    assert fault.exit is not Exit.OK
    assert fault.kind in (Kind.DEGRADED, Kind.WARNING) or fault.exit is not Exit.DEGRADED
    assert (fault.kind is Kind.CONFIGURATION) == (fault.exit is Exit.USAGE)


def test_every_kind_and_every_exit_code_has_a_fault() -> None:
    assert {fault.kind for fault in EVERY} == set(Kind)
    assert {fault.exit for fault in EVERY} == set(Exit) - {Exit.OK}


def test_exit_codes_never_change() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "SEALED": 3,
        "UNPROVISIONED": 4,
        "REFUSED": 5,
        "WRONG_KEY": 6,
        "INTEGRITY": 7,
        "BUSY": 8,
        "UNREACHABLE": 9,
        "DEGRADED": 10,
    }


def test_an_error_shows_the_fault_and_then_its_detail() -> None:
    assert str(KleidiError(faults.SEAL_CORRUPT)) == str(faults.SEAL_CORRUPT)
    assert str(KleidiError(faults.SEAL_CORRUPT, "why")) == f"{faults.SEAL_CORRUPT} (why)"


@given(st.sampled_from(EVERY), st.text(max_size=30))
def test_an_error_is_one_line_whatever_its_detail(fault: Fault, detail: str) -> None:
    assert len(str(KleidiError(fault, detail)).splitlines()) == 1
