"""The slot `tpm`: what the TPM keeps for it, and what is told when it does not open."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.settings import load
from appliance.slots.escrow import Escrow, EscrowSecret
from appliance.slots.tpm import FAULTS, TpmEscrow
from appliance.tpm.errors import Trouble
from tests.tpm import relay
from tests.tpm.chip import Chip
from tests.tpm.conftest import made as made_at
from tests.tpm.test_sealing import COUNTS
from tests.tpm.test_troubles import as_nobody, refused

KEY = secrets.token_bytes(32)
GOLDEN = Path(__file__).parent / "golden"


def fault_of(act: Callable[..., object], *given_: object) -> tuple[Fault | None, str]:
    try:
        act(*given_)
    except KleidiError as error:
        return error.fault, error.detail
    return None, ""


def test_a_slot_is_held_and_recalled(chip: Chip) -> None:
    keeper: Escrow = TpmEscrow(chip.path)
    keeper.ready()
    secret = EscrowSecret(keeper)
    held = secret.hold("tpm")
    assert secret.recall(held.values) == held
    assert secret.fits(held)
    # What stands in a header for each such slot.
    assert len(json.dumps(dict(held.values))) < 500
    assert held.wrapping_key.hex() not in json.dumps(dict(held.values))
    chip.cut_and_start()
    assert EscrowSecret(keeper).recall(held.values) == held


def test_its_values_are_what_the_format_says(chip: Chip) -> None:
    chip.extend(7)
    chip.extend(11)
    plain = TpmEscrow(chip.path).deposit(KEY)
    bound = TpmEscrow.of(SimpleNamespace(tpm=chip.path), "11,7").deposit(KEY)
    for values in (plain, bound):
        assert list(values) == ["parent", "public", "private", "pcrs", "bank", "expected"]
        assert TpmEscrow(chip.path).release(values) == KEY
    assert (plain["pcrs"], plain["bank"], plain["expected"]) == ("", "", "")
    assert (bound["pcrs"], bound["bank"]) == ("7,11", "sha256")
    assert [each[: each.index(":")] for each in bound["expected"].split(",")] == ["7", "11"]
    keeper = TpmEscrow(chip.path)
    assert (keeper.protection(plain), keeper.protection(bound)) == ("tpm", "tpm+pcrs")


@pytest.mark.parametrize("text", ["24", "7,", "x", "-1", "7;11", "\u0667", "7" * 100])
def test_what_is_no_list_of_pcrs_is_refused(text: str) -> None:
    assert fault_of(TpmEscrow.of, SimpleNamespace(tpm=Path("/dev/tpmrm0")), text)[0] is faults.COMMAND_LINE


def test_settings_name_a_device_or_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TpmEscrow.of(load()).path == Path("/dev/tpmrm0")
    monkeypatch.setenv("KLEIDI_TPM", "unix:///run/kleidi-tpm/tpm.sock")
    assert TpmEscrow.of(load()).path == Path("/run/kleidi-tpm/tpm.sock")


def test_another_tpm_knows_that_it_is_another(chip: Chip, other: Chip) -> None:
    values = TpmEscrow(chip.path).deposit(KEY)
    assert TpmEscrow(chip.path).knows(values)
    assert not TpmEscrow(other.path).knows(values)
    assert fault_of(TpmEscrow(other.path).release, values)[0] is faults.TPM_OTHER
    chip.clear()
    assert not TpmEscrow(chip.path).knows(values)
    assert fault_of(TpmEscrow(chip.path).release, values)[0] is faults.TPM_OTHER


def test_the_pcr_that_changed_is_named(chip: Chip) -> None:
    for number in (7, 11):
        chip.extend(number)
    keeper = TpmEscrow(chip.path, (7, 11))
    values = keeper.deposit(KEY)
    chip.extend(11)
    assert fault_of(keeper.release, values) == (faults.TPM_PCR, "PCR 11")
    assert keeper.knows(values)
    chip.extend(7)
    assert fault_of(keeper.release, values) == (faults.TPM_PCR, "PCR 7, 11")
    # What was expected stands in the header, and nothing depends on it.
    assert fault_of(keeper.release, {**values, "expected": "7"})[0] is faults.TPM_PCR


def test_what_was_not_measured_is_refused_ahead(chip: Chip) -> None:
    keeper = TpmEscrow(chip.path, (7,))
    assert fault_of(keeper.ready) == (faults.TPM_UNMEASURED, "PCR 7")
    assert fault_of(keeper.deposit, KEY) == (faults.TPM_UNMEASURED, "PCR 7")
    TpmEscrow(chip.path).ready()


def test_nothing_is_there(tmp_path: Path) -> None:
    keeper = TpmEscrow(tmp_path / "tpmrm0")
    assert fault_of(keeper.ready)[0] is faults.TPM_MISSING
    assert fault_of(keeper.deposit, KEY)[0] is faults.TPM_MISSING


def test_it_may_not_be_opened(chip: Chip) -> None:
    chip.path.chmod(0)
    with as_nobody():
        found, detail = fault_of(TpmEscrow(chip.path).ready)
    assert found is faults.TPM_FORBIDDEN
    assert detail.startswith("not in the group of ")


def test_under_a_storage_key_that_counts_it_locks(chip: Chip) -> None:
    chip.keep_storage_key(COUNTS)
    chip.own(b"theirs")
    keeper = TpmEscrow(chip.path)
    values = keeper.deposit(KEY)
    for _ in range(3):
        assert keeper.release(values) == KEY
        chip.cut_and_start()
    assert fault_of(keeper.release, values)[0] is faults.TPM_LOCKED


def test_an_owner_with_a_password(chip: Chip) -> None:
    keeper = TpmEscrow(chip.path)
    values = keeper.deposit(KEY)
    chip.own(b"theirs")
    for act, given_ in ((keeper.ready, ()), (keeper.deposit, (KEY,)), (keeper.release, (values,))):
        assert fault_of(act, *given_)[0] is faults.TPM_OWNED


def test_another_client_keeps_it_busy(chip: Chip) -> None:
    with chip.talk():
        assert fault_of(TpmEscrow(chip.path, seconds=0.2).ready)[0] is faults.TPM_BUSY


def test_what_is_no_tpm() -> None:
    with relay.served(lambda _: refused(0)) as path:
        assert fault_of(TpmEscrow(path).ready)[0] is faults.TPM_ANSWER


def test_every_trouble_is_a_fault() -> None:
    assert FAULTS.keys() == set(Trouble)
    assert len(set(FAULTS.values())) == len(Trouble)


def test_values_that_are_none(chip: Chip) -> None:
    keeper = TpmEscrow(chip.path)
    values = dict(keeper.deposit(KEY))
    for name in values.keys() - {"expected"}:
        lacking = {each: value for each, value in values.items() if each != name}
        assert fault_of(keeper.release, lacking)[0] is faults.SEAL_CORRUPT
        assert fault_of(keeper.release, {**values, name: "?"})[0] is faults.SEAL_CORRUPT
    for wrong in ({"private": "A" * 4096}, {"bank": "sha1"}, {"pcrs": "7", "bank": "sha256"}):
        assert fault_of(keeper.release, {**values, **wrong})[0] is faults.SEAL_CORRUPT
    short = keeper.deposit(b"short")
    assert fault_of(keeper.release, short)[0] is faults.SEAL_CORRUPT


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Release by one TPM for many tries."""
    state = tmp_path_factory.mktemp("shared") / "chip"
    with made_at(state) as chip:
        good = dict(TpmEscrow(chip.path).deposit(KEY))

        def release(changed: Mapping[str, str]) -> None:
            with suppress(KleidiError):
                assert TpmEscrow(chip.path).release({**good, **changed}) == KEY
            assert TpmEscrow(chip.path).release(good) == KEY

        yield release


VALUES = st.dictionaries(
    st.sampled_from(["parent", "public", "private", "pcrs", "bank", "expected"]),
    st.text(max_size=40) | st.text("0123456789abcdefABCDEF+/=,:", max_size=300),
)


@settings(deadline=None, max_examples=100)
@given(changed=VALUES)
def test_whatever_a_header_says_it_opens_nothing_else_and_hurts_nothing(
    changed: Mapping[str, str], shared: Callable[[Mapping[str, str]], None]
) -> None:
    shared(changed)


def test_the_golden_slots_open(tmp_path: Path) -> None:
    """A chip of long ago, with its slots: a template that changed by a bit would lose them all."""
    golden = json.loads((GOLDEN / "slots.json").read_text())
    state = tmp_path / "state"
    state.mkdir()
    (state / "tpm2-00.permall").write_bytes((GOLDEN / "state" / "tpm2-00.permall").read_bytes())
    with Chip(state) as chip:
        keeper = TpmEscrow(chip.path)
        assert keeper.release(golden["plain"]).hex() == golden["key"]
        assert keeper.deposit(KEY)["parent"] == golden["plain"]["parent"]
        assert fault_of(keeper.release, golden["bound"]) == (faults.TPM_PCR, "PCR 7")
        chip.extend(7, bytes(32))
        assert keeper.release(golden["bound"]).hex() == golden["key"]
