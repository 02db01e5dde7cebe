"""What callers ask for in vain is counted and told; a missed key of our own lineage is a warning, no more."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from appliance import faults
from appliance.client import admin
from appliance.client.report import RefusedRow
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Command, Verb
from appliance.service.tripwire import MOST_IDS
from appliance.telemetry.sparing import MOST
from proto.kmsv2 import api_pb2 as pb
from tests.service.client import PATIENCE_SECONDS, Client, connected, refused
from tests.service.conftest import Start
from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.service.scene import LINEAGE, Scene

FLOOD = 2000
SEED = b"thirty-two bytes of a seed, here"
FOREIGN = "kleidi/ba9876543210/v1/fedcba987654"
MOCK = "kleidi-kms-plugin"


def missed(version: int = 9) -> str:
    return f"kleidi/{LINEAGE}/v{version}/fedcba987654"


def ask_for(client: Client, key_id: str, envelope: bytes = b"\x01" + bytes(60)) -> grpc.StatusCode:
    return refused(lambda: client.decrypt(key_id, envelope)).code


def rows(running: Running) -> dict[str, RefusedRow]:
    return {row.sort: row for row in running.report().refused}


def flood(client: Client, key_id: str, number: int) -> set[grpc.StatusCode]:
    request = pb.DecryptRequest(key_id=key_id, ciphertext=b"\x01" + bytes(60), uid="flood")

    def ask(_number: int) -> grpc.StatusCode:
        return refused(lambda: client.stub.Decrypt(request, timeout=PATIENCE_SECONDS)).code

    with ThreadPoolExecutor(8) as callers:
        return set(callers.map(ask, range(number)))


def test_nothing_is_told_while_every_decrypt_can_be_answered(running: Running, client: Client) -> None:
    assert client.open(client.encrypt(SEED)) == SEED
    assert (running.report().refused, running.report().reasons) == ([], [])


def test_each_sort_is_counted_on_its_own_with_its_key_ids(running: Running, client: Client) -> None:
    scene, found = running.scene, grpc.StatusCode
    assert ask_for(client, missed()) is found.NOT_FOUND
    assert ask_for(client, FOREIGN) is found.NOT_FOUND
    assert ask_for(client, MOCK) is found.NOT_FOUND
    assert ask_for(client, scene.key().id) is found.DATA_LOSS
    disabled, destroyed = scene.key(KeyState.DISABLED).id, scene.key(KeyState.DESTROYED).id
    assert ask_for(client, disabled) is found.FAILED_PRECONDITION
    assert ask_for(client, destroyed) is found.FAILED_PRECONDITION
    told = running.report().refused
    assert [(row.sort, row.count, row.key_ids) for row in told] == [
        ("missed", 1, [missed()]),
        ("foreign", 1, [FOREIGN]),
        ("strange", 1, [MOCK]),
        ("off", 2, [disabled, destroyed]),
        ("tampered", 1, [scene.key().id]),
    ]
    assert all(0 < row.first <= row.last for row in told)


def test_what_is_merely_malformed_is_not_counted(running: Running, client: Client) -> None:
    assert ask_for(client, "") is grpc.StatusCode.INVALID_ARGUMENT
    assert ask_for(client, running.scene.key().id, b"short") is grpc.StatusCode.INVALID_ARGUMENT
    assert running.report().refused == []


@pytest.mark.parametrize("waits", [True, False], ids=["waiting engine", "instant engine"])
def test_a_missed_key_of_our_lineage_is_a_warning_and_every_call_goes_on(
    scene: Scene, start: Start, journal: Journal, *, waits: bool
) -> None:
    scene.engine.waits = waits
    running = start()
    running.wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        assert ask_for(client, missed()) is grpc.StatusCode.NOT_FOUND
        report = running.report()
        assert (report.state, report.reason_id) == ("DEGRADED", faults.KEY_MISSED.id)
        assert missed() in report.reason
        assert [(each.id, each.reason) for each in report.reasons] == [(report.reason_id, report.reason)]
        assert client.status().healthz == "ok"
        assert client.open(client.encrypt(SEED)) == SEED
    (line,) = journal.lines(msg="state", id=faults.KEY_MISSED.id)
    assert (line["level"], line["detail"]) == ("warning", missed())


@pytest.mark.parametrize(
    "key_id",
    [
        FOREIGN,
        MOCK,
        f"kleidi/{LINEAGE}/v0/fedcba987654",
        f"kleidi/{LINEAGE}/v2/fedcba98765",
        f"kleidi/{LINEAGE}/v2/FEDCBA987654",
        f"kleidi/{LINEAGE}/v{'9' * 11}/fedcba987654",
        f"kleidi/{LINEAGE}/v2/fedcba987654/",
        f"kleidi/{LINEAGE}",
        f" kleidi/{LINEAGE}/v2/fedcba987654",
    ],
)
def test_no_other_key_id_trips_it(running: Running, client: Client, key_id: str) -> None:
    assert ask_for(client, key_id) is grpc.StatusCode.NOT_FOUND
    assert running.report().state == "OPERATIONAL"
    assert sum(row.count for row in running.report().refused) == 1


def test_tampered_ciphertexts_trip_nothing_at_any_number(running: Running, client: Client) -> None:
    assert flood(client, running.scene.key().id, 100) == {grpc.StatusCode.DATA_LOSS}
    assert rows(running)["tampered"].count == 100
    assert running.report().state == "OPERATIONAL"


def warned(running: Running) -> bool:
    return faults.KEY_MISSED.id in {each.id for each in running.report().reasons}


def test_it_is_withdrawn_when_the_missed_key_has_come(scene: Scene, start: Start) -> None:
    newer = roll_back(scene, start)
    running = start()
    running.wait_for("OPERATIONAL")
    with connected(scene.socket) as client:
        assert ask_for(client, newer.key_id, newer.ciphertext) is grpc.StatusCode.NOT_FOUND
        assert warned(running)
        # The newest volume is brought back, and opened when the token has to be opened again.
        for path in (scene.root / "newest").glob("generation-*"):
            shutil.copy2(path, scene.volume.path)
        scene.engine.lose()
        refused(lambda: client.encrypt(SEED))
        until(lambda: running.report().key_id == newer.key_id, "it serves again")
        until(lambda: not warned(running), "the key has come")
        assert client.open(newer) == SEED
        assert rows(running)["missed"].count == 1  # what was counted stays counted
        ask_for(client, missed())
        assert warned(running)


def roll_back(scene: Scene, start: Start) -> pb.EncryptResponse:
    """Give the volume back as it was before a rotation; what the newer key encrypted."""
    volume, old = scene.volume.path, scene.root / "old"
    for path in volume.glob("generation-*"):
        path.unlink()
    scene.seal([KeyState.PRIMARY])
    shutil.copytree(volume, old)
    first = start()
    first.wait_for("OPERATIONAL")
    admin.change(scene.admin, admin.change_request(Command(Verb.ROTATE)))
    with connected(scene.socket) as client:
        newer = client.encrypt(SEED)
    first.stop()
    volume.rename(scene.root / "newest")
    old.rename(volume)
    assert scene.anchor.path is not None
    scene.anchor.path.unlink()
    return newer


def test_crafted_key_ids_take_no_more_memory_than_a_few(running: Running, client: Client) -> None:
    for number in range(1, 10 * MOST_IDS):
        ask_for(client, missed(number))
        ask_for(client, f"{number}" * 300)
    told = rows(running)
    assert [len(told[sort].key_ids) for sort in ("missed", "strange")] == [MOST_IDS, MOST_IDS]
    assert max(len(each) for each in told["strange"].key_ids) == 64
    assert told["missed"].count == told["strange"].count == 10 * MOST_IDS - 1
    assert running.report().reason.endswith("others)")


def test_a_flood_of_foreign_decrypts_is_counted_whole_and_logged_in_a_dozen_lines(
    running: Running, client: Client, journal: Journal
) -> None:
    assert flood(client, FOREIGN, FLOOD) == {grpc.StatusCode.NOT_FOUND}
    assert rows(running)["foreign"].count == FLOOD
    assert len(journal.lines(id=faults.KEY_UNKNOWN.id)) == MOST
    # Another mistake still has its line, and so has what goes well, each time.
    ask_for(client, running.scene.key().id)
    assert len(journal.lines(id=faults.CIPHERTEXT_TAMPERED.id)) == 1
    for number in range(2 * MOST):
        client.encrypt(SEED, f"good-{number}")
    until(lambda: len(journal.lines(msg="Encrypt", level="info")) == 2 * MOST, "every good call has its line")
