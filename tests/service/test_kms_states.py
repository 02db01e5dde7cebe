from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeyState
from appliance.provision.plan import Refusal as Wait
from appliance.volume.anchor import Memory
from tests.service.client import Refusal, connected, refused
from tests.service.conftest import Start
from tests.service.journal import Journal
from tests.service.scene import LINEAGE, Scene

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(autouse=True, params=[True, False], ids=["waiting engine", "instant engine"])
def _engine(request: pytest.FixtureRequest, scene: Scene) -> None:
    scene.engine.waits = request.param


def assert_all_refuse(scene: Scene, fault: Fault, code: grpc.StatusCode) -> None:
    with connected(scene.socket) as client:
        envelope, key_id = scene.wrap(KeyState.PRIMARY, b"seed"), scene.key().id
        assert refused(client.status) == Refusal(code, str(fault))
        assert refused(lambda: client.encrypt(b"seed", "u")) == Refusal(code, f"{fault} uid=u")
        assert refused(lambda: client.decrypt(key_id, envelope, "u")) == Refusal(code, f"{fault} uid=u")


def assert_all_work(scene: Scene, healthz: str = "ok") -> None:
    with connected(scene.socket) as client:
        status = client.status()
        assert (status.version, status.healthz, status.key_id) == ("v2", healthz, scene.key().id)
        wrapped = client.encrypt(b"seed")
        assert wrapped.key_id == status.key_id
        assert client.open(wrapped) == b"seed"


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (faults.PROVISIONING, "UNPROVISIONED"),
        (faults.AWAITING_JOIN, "UNPROVISIONED"),
        (faults.VOLUME_EMPTY, "UNPROVISIONED"),
        (faults.VOLUME_MISSING, "FAILED"),
    ],
    ids=["provisioning", "awaiting join", "empty", "missing"],
)
def test_without_a_key_every_call_tells_why_until_there_is_one(
    scene: Scene, start: Start, fault: Fault, state: str
) -> None:
    scene.waiting_for = Wait(fault, "a detail for our log only")
    running = start()
    running.wait_for(state, fault.id)
    assert_all_refuse(scene, fault, UNAVAILABLE)
    scene.waiting_for = None
    running.wait_for("OPERATIONAL")
    assert_all_work(scene)


def test_a_sealed_volume_tells_that_its_key_is_missing_until_it_is_back(scene: Scene, start: Start) -> None:
    away = scene.custody.path.rename(scene.root / "away")
    running = start()
    running.wait_for("SEALED", faults.SEAL_KEY_MISSING.id)
    assert_all_refuse(scene, faults.SEAL_KEY_MISSING, UNAVAILABLE)
    away.rename(scene.custody.path)
    running.wait_for("OPERATIONAL")
    assert_all_work(scene)


def test_a_wrong_seal_key_leaves_the_volume_sealed(scene: Scene, start: Start) -> None:
    scene.custody.path.chmod(0o600)
    scene.custody.path.write_bytes(bytes(32))
    start().wait_for("SEALED", faults.SEAL_KEY_WRONG.id)
    assert_all_refuse(scene, faults.SEAL_KEY_WRONG, UNAVAILABLE)


def test_a_lost_token_is_opened_again_by_itself(scene: Scene, start: Start, journal: Journal) -> None:
    running = start()
    running.wait_for("OPERATIONAL")
    scene.engine.refuse(KleidiError(faults.TOKEN_LOST))
    scene.engine.lose()
    with connected(scene.socket) as client:
        lost = Refusal(UNAVAILABLE, f"{faults.TOKEN_LOST} uid=the one that noticed")
        assert refused(lambda: client.encrypt(b"seed", "the one that noticed")) == lost
    running.wait_for("STARTING", faults.TOKEN_LOST.id)
    assert_all_refuse(scene, faults.TOKEN_LOST, UNAVAILABLE)
    scene.engine.refuse(None)
    running.wait_for("OPERATIONAL")
    assert_all_work(scene)
    assert journal.lines(msg="state", to="STARTING", id=faults.TOKEN_LOST.id, why=faults.TOKEN_LOST.words)


def test_a_token_lost_while_nobody_calls_is_noticed_by_the_probe(scene: Scene, start: Start) -> None:
    running = start(probe_seconds=0.02)
    running.wait_for("OPERATIONAL")
    scene.engine.refuse(KleidiError(faults.TOKEN_LOST))
    scene.engine.lose()
    running.wait_for("STARTING", faults.TOKEN_LOST.id)


def roll_back(scene: Scene) -> None:
    scene.anchor.advance(Memory(LINEAGE, 2))


def exchange(state: KeyState) -> Callable[[Scene], None]:
    return lambda scene: scene.engine.spoil(scene.key(state).object_id)


def damage_the_anchor(scene: Scene) -> None:
    assert scene.anchor.path is not None
    scene.anchor.path.write_text("{")


def block_the_anchor(scene: Scene) -> None:
    scene.anchor = type(scene.anchor)(Path("/proc/no-anchor.json"))


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (roll_back, faults.ROLLED_BACK),
        (exchange(KeyState.RETIRED), faults.KEY_UNREADABLE),
        (block_the_anchor, faults.ANCHOR_UNWRITABLE),
        (damage_the_anchor, faults.ANCHOR_UNREADABLE),
    ],
    ids=["volume rolled back", "retired key unreadable", "anchor cannot be written", "anchor damaged"],
)
def test_degraded_but_able_tells_the_reason_and_writes_go_on(
    scene: Scene, start: Start, spoil: Callable[[Scene], None], fault: Fault
) -> None:
    spoil(scene)
    running = start()
    running.wait_for("DEGRADED", fault.id)
    # Only what can fail a call: the API server's /readyz and /healthz answer 500 for what stands there.
    assert_all_work(scene, healthz=str(fault) if fault is faults.KEY_UNREADABLE else "ok")
    assert running.report().key_id == scene.key().id


def test_a_warning_hides_no_key_that_cannot_be_read(scene: Scene, start: Start) -> None:
    exchange(KeyState.RETIRED)(scene)
    roll_back(scene)
    running = start()
    running.wait_for("DEGRADED", faults.KEY_UNREADABLE.id)
    assert_all_work(scene, healthz=str(faults.KEY_UNREADABLE))


def expect_another_lineage(scene: Scene) -> None:
    scene.expected_lineage = "ba9876543210"


def remember_another_lineage(scene: Scene) -> None:
    scene.anchor.advance(Memory("ba9876543210", 1))


def damage_the_seal(scene: Scene) -> None:
    path = scene.volume.file(1)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (expect_another_lineage, faults.LINEAGE_FOREIGN),
        (remember_another_lineage, faults.LINEAGE_FOREIGN),
        (exchange(KeyState.PRIMARY), faults.PRIMARY_WRONG),
        (damage_the_seal, faults.SEAL_CORRUPT),
    ],
    ids=["lineage not expected", "lineage not remembered", "primary key exchanged", "seal damaged"],
)
def test_what_must_not_be_served_from_is_a_failed_precondition(
    scene: Scene, start: Start, spoil: Callable[[Scene], None], fault: Fault
) -> None:
    spoil(scene)
    start().wait_for("FAILED", fault.id)
    assert_all_refuse(scene, fault, FAILED_PRECONDITION)


def test_an_unreadable_retired_key_is_named_as_the_reason_and_not_the_ciphertext(
    scene: Scene, start: Start
) -> None:
    scene.engine.spoil(scene.key(KeyState.RETIRED).object_id)
    start().wait_for("DEGRADED", faults.KEY_UNREADABLE.id)
    with connected(scene.socket) as client:
        envelope = scene.wrap(KeyState.RETIRED, b"seed")
        answer = refused(lambda: client.decrypt(scene.key(KeyState.RETIRED).id, envelope, "u"))
    assert answer == Refusal(UNAVAILABLE, f"{faults.KEY_UNREADABLE} uid=u")


def test_a_primary_key_that_goes_while_serving_stops_the_writes(scene: Scene, start: Start) -> None:
    running = start()
    running.wait_for("OPERATIONAL")
    scene.engine.forget(scene.key().object_id)
    with connected(scene.socket) as client:
        assert refused(lambda: client.encrypt(b"seed")).code is UNAVAILABLE
    running.wait_for("FAILED", faults.PRIMARY_WRONG.id)
    assert_all_refuse(scene, faults.PRIMARY_WRONG, FAILED_PRECONDITION)


def test_a_mistake_of_ours_tells_nothing_on_the_wire_and_all_in_the_log(
    scene: Scene, start: Start, journal: Journal
) -> None:
    running = start()
    running.wait_for("OPERATIONAL")
    scene.engine.break_with(ZeroDivisionError("what nobody outside may read"))
    with connected(scene.socket) as client:
        answer = refused(lambda: client.encrypt(b"seed", "u"))
        scene.engine.break_with(None)
        assert answer == Refusal(grpc.StatusCode.INTERNAL, f"{faults.INTERNAL} uid=u")
        assert client.status().healthz == "ok"
    (line,) = journal.lines(uid="u")
    assert "ZeroDivisionError: what nobody outside may read" in line["traceback"]
    assert_all_work(scene)


def test_a_mistake_of_ours_while_opening_is_told_by_status(scene: Scene, start: Start) -> None:
    scene.engine.break_with(ZeroDivisionError("what nobody outside may read"))
    running = start()
    running.wait_for("FAILED", faults.INTERNAL.id)
    assert_all_refuse(scene, faults.INTERNAL, grpc.StatusCode.INTERNAL)
    scene.engine.break_with(None)
    running.wait_for("OPERATIONAL")
    assert_all_work(scene)
