"""A first key is made once, on purpose, and never in the face of evidence of an older one."""

import base64
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.softhsm import SoftHsmEngine
from appliance.engines.softhsm.image import TokenImage
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import SOFTHSM, EngineState, Made
from appliance.keys.keyset import KeyState
from appliance.provision.policy import Policy
from appliance.volume import memory
from appliance.volume.audit import AuditLog, Head
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from softhsm import Library, Token
from tests.fakes import FakeEngine
from tests.volume.house import UNTOLD, House, let_no_end_be_logged, refused

DAY = 24 * 3600


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_first_boot_leaves_one_generation_a_key_an_anchor_and_a_mark(house: House) -> None:
    opened = house.provisioner().run().opened
    (key,) = opened.payload.keyset.keys
    assert (key.version, key.state) == (1, KeyState.PRIMARY)
    assert abs(key.since.unix - time.time()) < DAY
    assert key.since.served == 0
    assert opened.header.generation == 1
    assert opened.header.lineage == opened.payload.keyset.lineage
    assert opened.warnings == ()
    assert names(house.volume) == ["audit.jsonl", "generation-00000001.seal", "lock"]
    assert names(house.etc) == ["anchor.json", "seal.key", "seal.key.used"]
    assert names(house.memory) == []


def test_every_first_boot_makes_another_lineage_and_another_key(tmp_path: Path, memory_dir: Path) -> None:
    lineages = {
        House(tmp_path / str(number), memory_dir).build().provisioner().run().opened.header.lineage
        for number in range(3)
    }
    assert len(lineages) == 3


def test_with_softhsm_what_is_sealed_opens_to_a_token_that_works(house: House, engine: SoftHsmEngine) -> None:
    made = house.provisioner(engine).run().opened
    opened = house.storage().open()
    assert opened.payload == made.payload
    (key,) = opened.payload.keyset.keys
    with memory.room(house.memory) as room:
        engine.open(room, opened.payload.state(SOFTHSM))
        body = engine.wrap(key.object_id, b"seed", b"aad")
        assert engine.unwrap(key.object_id, body, b"aad") == b"seed"
        engine.close()


@pytest.mark.parametrize("policy", Policy)
def test_a_second_run_changes_nothing_whatever_the_policy(house: House, policy: Policy) -> None:
    first = house.provisioner().run().opened
    before = house.snapshot()
    again = house.provisioner(policy=policy).run().opened
    assert again == first
    assert house.snapshot() == before


@pytest.mark.parametrize(
    ("policy", "fault"), [(Policy.NEVER, faults.VOLUME_EMPTY), (Policy.JOIN, faults.AWAITING_JOIN)]
)
def test_nothing_is_touched_where_no_key_may_be_made(house: House, policy: Policy, fault: Fault) -> None:
    assert refused(house.provisioner(policy=policy).run) is fault
    assert house.snapshot() == {}


def empty(house: House) -> None:
    for path in house.volume.iterdir():
        path.unlink()


def test_an_emptied_volume_is_noticed_by_the_anchor(house: House) -> None:
    house.provisioner().run()
    empty(house)
    assert refused(house.provisioner().run) is faults.VOLUME_EMPTIED
    assert names(house.volume) == []


def test_an_emptied_volume_is_noticed_by_the_used_key(house: House) -> None:
    house.provisioner().run()
    empty(house)
    house.anchor.unlink()
    assert refused(house.provisioner().run) is faults.SEAL_KEY_USED
    assert names(house.volume) == []


def test_a_removed_key_does_not_hide_an_emptied_volume(house: House) -> None:
    house.provisioner().run()
    empty(house)
    house.anchor.unlink()
    house.seal_key.unlink()
    assert refused(house.provisioner().run) is faults.SEAL_KEY_USED
    assert not house.seal_key.exists()


def test_a_damaged_anchor_is_evidence_too(house: House) -> None:
    house.anchor.write_text("damaged")
    assert refused(house.provisioner().run) is faults.ANCHOR_UNREADABLE
    assert names(house.volume) == []


@pytest.mark.parametrize("damage", ["missing", "unreadable", "foreign"])
def test_an_unfit_volume_is_left_alone(house: House, damage: str) -> None:
    if damage == "foreign":
        (house.volume / "tokens").mkdir()
    else:
        house.volume.rmdir()
    if damage == "unreadable":
        house.volume.write_text("not a directory")
    assert refused(house.provisioner().run).id == f"E-VOLUME-{damage.upper()}"
    assert names(house.etc) == []


def test_a_swapped_volume_of_another_lineage_is_foreign(tmp_path: Path, memory_dir: Path) -> None:
    ours, theirs = (House(tmp_path / name, memory_dir).build() for name in ("ours", "theirs"))
    for house in (ours, theirs):
        house.provisioner().run()
    shutil.copy(theirs.generation, ours.generation)
    assert refused(ours.provisioner().run) is faults.SEAL_KEY_WRONG
    shutil.copy(theirs.seal_key, ours.seal_key)
    assert refused(ours.provisioner().run) is faults.LINEAGE_FOREIGN


def test_a_volume_that_was_rolled_back_opens_with_a_warning(house: House) -> None:
    lineage = house.provisioner().run().opened.header.lineage
    house.anchor.write_text(house.anchor.read_text().replace('"generation": 1', '"generation": 2'))
    opened = house.provisioner().run().opened
    assert opened.warnings == (faults.ROLLED_BACK,)
    assert opened.header.lineage == lineage
    assert '"generation": 2' in house.anchor.read_text()


def test_a_lost_anchor_and_mark_are_written_again(house: House) -> None:
    house.provisioner().run()
    house.anchor.unlink()
    (house.etc / "seal.key.used").unlink()
    house.provisioner().run()
    assert names(house.etc) == ["anchor.json", "seal.key", "seal.key.used"]


def test_an_anchor_that_cannot_be_written_is_a_warning(house: House) -> None:
    house.anchor.mkdir()
    (house.anchor / "in the way").touch()
    assert refused(house.provisioner().run) is faults.ANCHOR_UNREADABLE
    shutil.rmtree(house.anchor)
    house.provisioner().run()
    house.anchor.unlink()
    house.anchor.mkdir()
    assert house.provisioner().run().opened.warnings == (faults.ANCHOR_UNREADABLE,)


def test_a_token_that_fails_its_trial_is_never_committed(house: House) -> None:
    class Unproved(FakeEngine):
        def prove(self, scratch: Path, state: EngineState, known_answers: Mapping[str, bytes]) -> None:
            del scratch, state, known_answers
            raise KleidiError(faults.TRIAL_FAILED)

    assert refused(house.provisioner(Unproved()).run) is faults.TRIAL_FAILED
    assert names(house.volume) == ["audit.jsonl", "lock"]
    assert not house.anchor.exists()
    assert not (house.etc / "seal.key.used").exists()
    assert names(house.memory) == []
    assert house.provisioner().run().opened.warnings == ()


def entries(house: House) -> list[dict[str, object]]:
    log = house.storage().audit
    log.verify()
    return log.tail(50)


def test_a_first_boot_is_in_the_log_by_whom_and_with_the_key_that_it_made(house: House) -> None:
    opened = house.provisioner().run().opened
    begun, done = entries(house)
    assert [(each["op"], each["phase"], each["by"], each["generation"]) for each in (begun, done)] == [
        ("provision", "begin", "0:1", 1),
        ("provision", "done", "0:1", 1),
    ]
    assert (done["key_id"], done["keyset"]) == (opened.keyset.primary.id, opened.keyset.hash)
    assert "key_id" not in begun
    assert opened.payload.audit == Head(1, str(begun["hash"]))


def test_a_first_boot_that_is_tried_a_hundred_times_begins_once(house: House) -> None:
    def refuse(_header: Header, _payload: Payload) -> None:
        raise KleidiError(faults.BACKUP_FAILED)

    for _ in range(100):
        assert refused(house.provisioner(before=(refuse,)).run) is faults.BACKUP_FAILED
    assert len(entries(house)) == 1
    house.provisioner().run()
    assert [each["phase"] for each in entries(house)] == ["begin", "done"]


def begun(house: House) -> None:
    house.storage().audit.append("provision", phase="begin", by="0:1", generation=1)


@pytest.mark.parametrize(
    "more",
    [
        lambda house: (house.volume / "ledger.json").write_text("{}"),
        lambda house: (house.volume / "verified.json").write_text("{}"),
        lambda house: house.storage().audit.append("provision", phase="done", by="0:1", generation=1),
        lambda house: house.storage().audit.append("restore", phase="begin", by="0:1", generation=3),
        lambda house: (house.volume / "audit.jsonl").write_text("no entry\n"),
        lambda house: (house.volume / "audit.jsonl").write_bytes(b""),
        lambda house: (house.volume / "audit.jsonl").rename(house.volume / "audit-00000001.jsonl"),
    ],
    ids=["ledger", "backup record", "done", "restore", "another text", "nothing", "put away"],
)
def test_any_other_trace_than_a_beginning_is_evidence(house: House, more: Callable[[House], object]) -> None:
    begun(house)
    more(house)
    assert refused(house.provisioner().run) is faults.VOLUME_EMPTIED
    assert not list(house.volume.glob("*.seal"))


def test_a_beginning_alone_is_gone_on_from(house: House) -> None:
    begun(house)
    assert house.provisioner().run().opened.warnings == ()


def test_a_first_boot_that_the_log_cannot_be_told_of_does_not_happen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_log: AuditLog, _op: str, **_fields: object) -> Head:
        raise KleidiError(faults.AUDIT_FAILED, "No space left on device")

    monkeypatch.setattr(AuditLog, "append", refuse)
    assert refused(house.provisioner().run) is faults.AUDIT_FAILED
    assert names(house.volume) == ["lock"]


def test_a_first_boot_is_done_when_only_its_last_line_cannot_be_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_no_end_be_logged(monkeypatch)
    done = house.provisioner().run()
    assert done.said == (UNTOLD,)
    assert house.provisioner().run().opened == done.opened


def test_a_running_server_does_not_disturb_a_second_run(house: House) -> None:
    house.provisioner().run()
    house.anchor.unlink()
    with house.storage().volume.lock():
        assert house.provisioner().run().opened.header.generation == 1
    assert not house.anchor.exists()


def test_beside_another_provisioner_it_steps_back(house: House) -> None:
    with house.storage().volume.lock():
        assert refused(house.provisioner().run) is faults.VOLUME_LOCKED
    assert names(house.volume) == ["lock"]


def test_two_provisioners_at_once_make_one_lineage(house: House) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda _: house.kleidi("provision"), range(3)))
    codes = {process.returncode for process in ended}
    assert 0 in codes
    assert codes <= {0, faults.VOLUME_LOCKED.exit}
    assert names(house.volume) == ["audit.jsonl", "generation-00000001.seal", "lock"]
    opened = house.storage().open()
    assert house.provisioner().run().opened == opened
    made = {process.stderr.split("key_id=")[1].split()[0] for process in ended if process.returncode == 0}
    assert made == {opened.payload.keyset.primary.id}


def test_the_raw_key_is_nowhere_outside(house: House) -> None:
    house.provisioner(FakeEngine()).run()
    payload = house.storage().open().payload
    pin, key = payload.state(SOFTHSM).files.values()  # the fake engine's second file is the raw key itself
    assert len(key) == 32
    _absent(house, key, pin)


def test_with_softhsm_neither_pins_nor_token_files_are_outside(house: House, engine: SoftHsmEngine) -> None:
    token = TokenImage.from_state(house.provisioner(engine).run().opened.payload.state(SOFTHSM))
    _absent(house, token.user_pin.encode())
    kept = b"".join(content for content, *_ in house.snapshot().values())
    for data in token.files.values():
        # SoftHSM's files begin alike; what tells them apart is further behind.
        for start in range(0, max(len(data) - 24, 1), 24):
            piece = data[start : start + 24]
            assert len(set(piece)) < 12 or piece not in kept


def test_the_so_pin_is_nowhere_once_the_token_is_made(
    house: House, engine: SoftHsmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    make = Library.initialize_token

    def overheard(library: Library, label: str, user_pin: str, so_pin: str) -> Token:
        drawn.append(so_pin)
        return make(library, label, user_pin, so_pin)

    monkeypatch.setattr(Library, "initialize_token", overheard)
    payload = house.provisioner(engine).run().opened.payload
    (so_pin,) = drawn
    # All that a server ever gets to know.
    assert so_pin.encode() not in payload.to_bytes()
    assert so_pin not in repr(vars(TokenImage.from_state(payload.state(SOFTHSM))))
    _absent(house, so_pin.encode())


def _absent(house: House, *secrets: bytes) -> None:
    kept = b"".join(content for content, *_ in house.snapshot().values())
    assert kept
    for secret in secrets:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret), secret[::-1]):
            assert form not in kept


def test_in_an_engine_that_nodes_share_the_first_key_is_counted_as_there(house: House) -> None:
    class Shared(FakeEngine):
        def make(self, scratch: Path, state: EngineState, wish: str) -> Made:
            return replace(super().make(scratch, state, wish), lineage="0123456789ab", number=3)

    opened = house.provisioner(Shared()).run().opened
    assert (opened.header.lineage, opened.keyset.primary.name) == ("0123456789ab", "v3")
    assert opened.keyset.skipped == (1, 2)
    assert house.storage().open().payload == opened.payload
