"""The runbook says something of every fault, and only what is so."""

import subprocess
import sys
from typing import Any

import pytest

from appliance import faults
from appliance.faults import Kind
from appliance.runbook import EFFECTS, Entry, Wake, entries, entry, near
from appliance.runbook.book import ROOMS
from appliance.runbook.effects import NO_CALL, NOTHING_YET, OF_KIND, REFUSED, SOME_CALLS
from appliance.service.rpc import answers
from tests.cli.test_help import parsed
from tests.docs.test_named import told, unknown
from tests.reference import CHECKOUT
from tests.states.cases import CASES, Case

ENTRIES = entries()
# That table is held against the server, and against the API server's own code.
SAID_BY_KIND = [
    case
    for case in CASES
    if case.reasons and (found := entry(case.reasons[0].id)) is not None and found.effect is not None
]
every_entry = pytest.mark.parametrize("found", ENTRIES, ids=lambda found: found.fault.id)


def test_every_fault_has_one_in_the_order_of_the_tables() -> None:
    assert [found.fault for found in ENTRIES] == faults.every()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.title)
def test_a_room_speaks_of_its_own_faults(room: Any) -> None:  # noqa: ANN401
    assert [fault.id for fault in room.advice if fault not in vars(room.table).values()] == []


@every_entry
def test_it_says_all_four(found: Entry) -> None:
    assert found.felt
    assert found.look
    assert found.do[0] == found.fault.remedy
    assert found.wake in Wake
    sayings = (*found.do, found.felt, found.when or "-")
    assert [text for text in sayings if not text or text != " ".join(text.split())] == []
    assert [text for text in sayings if text.endswith((".", ":", ",")) or not text.isascii()] == []
    assert len(set(found.do)) == len(found.do)


@every_entry
def test_its_commands_can_be_typed(found: Entry) -> None:
    for line in found.look:
        program, *words = line.removeprefix("sudo ").split()
        if program == "kleidi" and "-h" in words:
            assert unknown(words) == [] or words == ["-h"]
        elif program == "kleidi":
            parsed(words)


@every_entry
def test_its_sentences_name_verbs_and_options_that_there_are(found: Entry) -> None:
    assert told(" ".join((*found.do, found.felt))) == []


@pytest.mark.parametrize("kind", Kind)
def test_what_is_felt_names_the_status_that_is_answered(kind: Kind) -> None:
    code = answers.code(next(fault for fault in faults.every() if fault.kind is kind))
    effect = OF_KIND[kind]
    # A warning, and what a command is refused with, is no answer to the API server.
    silent = kind in (Kind.WARNING, Kind.REFUSED, Kind.CONFIGURATION)
    assert silent or code.name in effect.whole


@pytest.mark.parametrize("case", SAID_BY_KIND, ids=lambda case: case.name)
def test_what_is_felt_is_what_the_table_of_states_shows(case: Case) -> None:
    found = entry(case.reasons[0].id)
    served = (SOME_CALLS,) if case.healthz else (NOTHING_YET,)
    assert found
    assert found.effect in (served if case.serves else (NO_CALL, REFUSED))


def test_each_effect_has_a_name_of_its_own() -> None:
    assert set(OF_KIND.values()) <= set(EFFECTS)
    assert len({effect.brief for effect in EFFECTS}) == len(EFFECTS)


@pytest.mark.parametrize(
    "fault",
    [
        faults.KEY_UNKNOWN,
        faults.CIPHERTEXT_TAMPERED,
        faults.KEY_DISABLED,
        faults.KEY_DESTROYED,
        faults.KEY_UNREADABLE,
        faults.AUDIT_BROKEN,
        faults.SEAL_KEY_MISSING,
        faults.PRIMARY_WRONG,
    ],
    ids=lambda fault: fault.id,
)
def test_what_an_alert_pages_for_wakes_somebody(fault: faults.Fault) -> None:
    found = entry(fault.id)
    assert found
    assert found.wake is Wake.NOW


def test_a_command_alone_wakes_nobody_but_for_evidence_of_a_break_in() -> None:
    wakes = [found.fault for found in ENTRIES if found.fault.kind is Kind.REFUSED and found.wake is Wake.NOW]
    assert wakes == []


@pytest.mark.parametrize(
    "typed", ["E-SEAL-KEY-GONE", "e-seal-key-gone", "Seal-Key-Gone", " E-SEAL-KEY-GONE: "]
)
def test_an_id_is_found_however_it_is_typed(typed: str) -> None:
    found = entry(typed)
    assert found
    assert found.fault is faults.SEAL_KEY_GONE


def test_what_may_have_been_meant() -> None:
    assert near("E-SEALKEYGONE")[0] == "E-SEAL-KEY-GONE"
    assert near("rolled") == ["E-VOLUME-ROLLED-BACK"]
    assert near("zzz") == []


def test_nothing_but_explain_loads_it() -> None:
    program = (
        "import sys\n"
        "from appliance import assembly, boot\n"
        "from appliance.cli import programs, verbs\n"
        "from appliance.service import server\n"
        "print(*[name for name in sys.modules if name.startswith('appliance.runbook')])\n"
        "from appliance.cli.explain import explained\n"
        "explained('E-CONFIG')\n"
        "print('appliance.runbook.book' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "\nTrue\n"
