"""What a scrape tells of calls, keys, engines and disks, and that no caller makes it tell more."""

import random
import shutil
import subprocess
import threading
import uuid
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.backup.verified import Record, Verified
from appliance.client import admin
from appliance.key_hash import digest
from appliance.keys.key_id import compose
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from appliance.service.metrics import kept, table
from appliance.service.metrics.kept import Kept
from appliance.service.metrics.moment import Moment
from appliance.service.standing import Standing
from appliance.slots import KINDS
from appliance.slots.listing import Row
from appliance.telemetry import Counts
from appliance.volume.audit import AuditLog, Head
from appliance.volume.generations import AUDIT, VERIFIED
from proto.admin import admin_pb2
from proto.kmsv2 import api_pb2 as pb
from tests.service.asked import send
from tests.service.client import Client, connected, refused
from tests.service.conftest import Start
from tests.service.running import Running, until
from tests.service.scene import LINEAGE, Scene
from tests.service.test_change import change
from tests.telemetry.scraped import Scraped

SEED = b"thirty-two bytes of a seed, here"
DECRYPT = {"grpc_service": "v2.KeyManagementService", "grpc_method": "Decrypt"}


def scraped(running: Running) -> Scraped:
    return Scraped.of(running.scene.health)


@pytest.fixture
def fresh(scene: Scene, start: Start) -> Running:
    """A server whose only key is the primary one."""
    scene.seal_one()
    running = start()
    running.wait_for("OPERATIONAL")
    return running


def test_promtool_finds_nothing_to_object_to(running: Running) -> None:
    with connected(running.scene.socket) as client:
        client.open(client.encrypt(SEED))
    promtool = shutil.which("promtool")
    assert promtool, "run `make system prometheus`"
    text = scraped(running).text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_is_told_in_the_form_that_prometheus_reads(running: Running) -> None:
    answer = send(running.scene.health, b"GET /metrics HTTP/1.1\r\n\r\n").decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
    families = list(text_string_to_metric_families(body))
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}
    assert all(family.documentation.endswith(".") for family in families)


def test_calls_are_counted_by_method_code_and_reason(running: Running) -> None:
    before = scraped(running)
    with connected(running.scene.socket) as client:
        wrapped = client.encrypt(SEED)
        for _ in range(3):
            client.open(wrapped)
        refused(lambda: client.decrypt(compose(LINEAGE, 99, "0" * 12), wrapped.ciphertext))
        refused(lambda: client.decrypt(wrapped.key_id, wrapped.ciphertext[:-1] + b"\0\0"))
    after = scraped(running)

    def more(name: str, **labels: str) -> float:
        was, now = before.value(name, **labels), after.value(name, **labels)
        assert was is not None, f"{name} {labels} is not there from the beginning"
        assert now is not None
        return now - was

    assert more("grpc_server_started_total", **DECRYPT) == 5
    assert more("grpc_server_handled_total", grpc_code="OK", **DECRYPT) == 3
    assert more("grpc_server_handled_total", grpc_code="NotFound", **DECRYPT) == 1
    assert more("grpc_server_handled_total", grpc_code="DataLoss", **DECRYPT) == 1
    assert more("kleidi_call_refusals_total", method="Decrypt", id="E-KEY-UNKNOWN") == 1
    assert more("kleidi_call_refusals_total", method="Decrypt", id="E-CIPHERTEXT-TAMPERED") == 1
    assert more("grpc_server_handling_seconds_count", **DECRYPT) == 5
    assert more("grpc_server_handling_seconds_bucket", le="+Inf", **DECRYPT) == 5
    assert more("grpc_server_handling_seconds_sum", **DECRYPT) > 0
    assert (before.value("kleidi_last_call_timestamp_seconds", method="Decrypt"), 0) == (0, 0)
    assert more("kleidi_last_call_timestamp_seconds", method="Encrypt") > 1e9
    hashed = digest(wrapped.key_id)
    assert more("kleidi_key_encrypts_total", key_id_hash=hashed) == 1
    assert more("kleidi_key_decrypts_total", key_id_hash=hashed) == 3
    assert more("kleidi_key_last_decrypt_timestamp_seconds", key_id_hash=hashed) > 1e9
    # The operator's own calls are told too, under their service's name.
    assert (after.value("grpc_server_handled_total", grpc_method="Report", grpc_code="OK") or 0) >= 1


def test_the_parts_of_a_histogram_never_fall(running: Running) -> None:
    with connected(running.scene.socket) as client:
        client.open(client.encrypt(SEED))
    told = [
        (float(labels["le"]), value)
        for labels, value in scraped(running).of_name("grpc_server_handling_seconds_bucket")
        if labels["grpc_method"] == "Decrypt"
    ]
    assert told == sorted(told)
    assert all(low <= high for (_, low), (_, high) in pairwise(told))


def noise(dice: random.Random, client: Client) -> None:
    """One caller's nonsense: ids, uids, annotations, bytes and methods that nobody else sends."""
    text = "".join(chr(dice.randrange(32, 127)) for _ in range(dice.randrange(1, 90)))
    ids = (text, compose(LINEAGE, dice.randrange(1, 9999), f"{dice.getrandbits(48):012x}"), uuid.uuid4().hex)
    key_id = dice.choice(ids)
    refused(lambda: client.decrypt(key_id, dice.randbytes(60), uid=text))
    known = client.status().key_id
    annotated = pb.DecryptRequest(key_id=known, ciphertext=b"x", uid=text, annotations={text: b"x"})
    refused(lambda: client.stub.Decrypt(annotated, timeout=30))
    refused(lambda: client.send("Decrypt", dice.randbytes(40)))
    refused(lambda: client.send(f"M{dice.getrandbits(60)}", b""))
    client.encrypt(SEED, uid=uuid.uuid4().hex)


def test_callers_make_no_series(running: Running) -> None:
    dice = random.Random(14)  # noqa: S311  the same noise each time
    with connected(running.scene.socket) as client:
        client.status()
        for _ in range(20):
            noise(dice, client)
        before = set(scraped(running).series)
        for each in range(200):
            noise(dice, client)
            if each % 10 == 0:
                request = admin_pb2.ChangeRequest(verb=uuid.uuid4().hex, key=uuid.uuid4().hex)
                with pytest.raises(Exception, match="E-REQUEST-INVALID"):
                    admin.change(running.scene.admin, request)
    after = set(scraped(running).series)
    # A reason and an operator's refusal that were not told of before, by ids from the catalogue.
    new = [dict(labels)["id"] for _, labels in after - before]
    assert set(new) <= {"E-REQUEST-INVALID", "E-KEY-MISSED"}
    assert not [series for series in after if any(len(value) > 80 for _, value in series[1])]


def test_a_rotation_moves_the_state_and_counts_the_switch(fresh: Running) -> None:
    before = scraped(fresh)
    old = fresh.scene.key().id
    new = change(fresh, Verb.ROTATE).key.key_id
    after = scraped(fresh)
    states = {labels["key_id_hash"]: labels["state"] for labels, _ in after.of_name("kleidi_key_info")}
    assert states == {digest(old): "retired", digest(new): "primary"}
    switches = "kleidi_switches_total"
    assert (after.value(switches) or 0) > (before.value(switches) or 0)
    assert (after.value("kleidi_switch_pause_seconds") or 0) > 0
    assert (after.value("kleidi_generation") or 0) > (before.value("kleidi_generation") or 0)
    (keyset,) = after.of_name("kleidi_keyset_info")
    assert keyset == ({"keyset": fresh.report().keyset, "lineage": LINEAGE}, 1)
    assert (after.value("kleidi_audit_entries") or 0) > (before.value("kleidi_audit_entries") or 0)


def test_each_engine_is_told_of_also_one_that_is_away(fresh: Running) -> None:
    change(fresh, Verb.STAGE, engine="transit")
    staged = next(key for key in fresh.report().keys if key.state == "staged")
    change(fresh, Verb.PROMOTE, staged.name)
    fresh.wait_for("OPERATIONAL")
    told = scraped(fresh)
    assert told.value("kleidi_engine_away", engine="transit") == 0
    assert told.value("kleidi_engine_keys", engine="transit") == 1
    assert told.value("kleidi_engine_keys", engine="softhsm") == 1
    proved = told.value("kleidi_engine_proof_timestamp_seconds", engine="transit")
    assert told.value("kleidi_proof_timestamp_seconds") == proved
    fresh.scene.remote.leave(faults.ENGINE_SLOW)
    with connected(fresh.scene.socket) as client:
        refused(lambda: client.encrypt(SEED))
    fresh.wait_for("DEGRADED", faults.ENGINE_SLOW.id)
    until(
        lambda: scraped(fresh).value("kleidi_engine_proofs_total", engine="transit", result="failed"),
        "a proof failed",
    )
    told = scraped(fresh)
    assert told.value("kleidi_engine_away", engine="transit") == 1
    assert told.value("kleidi_engine_away", engine="softhsm") == 0
    assert (told.value("kleidi_proofs_total", result="failed") or 0) >= 1
    # The last time that it was so stays the last time.
    assert told.value("kleidi_engine_proof_timestamp_seconds", engine="transit") == proved
    fresh.scene.remote.come_back()


def test_a_lost_token_is_a_failed_proof_and_another_opening(running: Running) -> None:
    opens = scraped(running).value("kleidi_token_opens_total") or 0
    running.scene.engine.lose()
    with connected(running.scene.socket) as client:
        refused(lambda: client.encrypt(SEED))
    until(lambda: scraped(running).value("kleidi_proofs_total", result="failed"), "a proof failed")
    running.scene.engine.find_again()
    running.wait_for("OPERATIONAL")
    assert (scraped(running).value("kleidi_token_opens_total") or 0) > opens


def test_calls_that_wait_are_told_while_they_do(running: Running) -> None:
    running.scene.engine.hang()
    with connected(running.scene.socket) as client:
        calls = threading.Thread(target=client.encrypt, args=(SEED,))
        calls.start()
        until(lambda: scraped(running).value("kleidi_calls_waiting") == 1, "one waits")
        assert scraped(running).value("kleidi_engine_calls_waiting", engine="softhsm") == 1
        running.scene.engine.release()
        calls.join()
    assert scraped(running).value("kleidi_calls_waiting") == 0


def test_a_key_that_does_not_open_what_it_closed_is_not_readable(scene: Scene, start: Start) -> None:
    scene.engine.spoil(scene.key(KeyState.RETIRED).object_id)
    running = start()
    running.wait_for("DEGRADED", faults.KEY_UNREADABLE.id)
    told = scraped(running)
    assert told.value("kleidi_key_readable", key_id_hash=digest(scene.key(KeyState.RETIRED).id)) == 0
    assert told.value("kleidi_key_readable", key_id_hash=digest(scene.key().id)) == 1
    disabled = digest(scene.key(KeyState.DISABLED).id)
    assert told.value("kleidi_key_readable", key_id_hash=disabled) is None


def test_a_backup_is_told_with_what_it_lacks(running: Running) -> None:
    assert scraped(running).value("kleidi_backup_verified_timestamp_seconds") is None
    held = [key.id for key in running.scene.keyset.keys if key.state is not KeyState.DESTROYED]
    verified = Verified(LINEAGE, 1, "", tuple(held[1:]), 4711, "one.age")
    assert Record(running.scene.volume.path / VERIFIED).write(verified)
    told = scraped(running)
    assert told.value("kleidi_backup_verified_timestamp_seconds") == 4711
    assert told.value("kleidi_backup_missing_keys") == 1


def test_the_ways_into_the_seal_are_told_by_kind(running: Running) -> None:
    (slot,) = scraped(running).of_name("kleidi_slot_info")
    assert slot == ({"name": "file", "kind": "file", "configured": "true"}, 1)
    (protection,) = scraped(running).of_name("kleidi_protection_info")
    assert protection == ({"level": running.report().protection}, 1)


def test_a_slot_of_any_kind_is_one_series() -> None:
    slots = [Row(f"the {kind}", kind, {}, tested) for tested, kind in enumerate(KINDS)]
    samples = list(Kept(slots=tuple(slots)).samples(Moment(0.0, Standing(), Counts())))
    told = [sample.labels for sample in samples if sample.metric is table.SLOT_INFO]
    assert told == [(f"the {kind}", kind, "false") for kind in KINDS]
    tested = {sample.labels for sample in samples if sample.metric is table.SLOT_TESTED}
    assert tested == {(f"the {kind}",) for kind in list(KINDS)[1:]}


def test_keys_that_leave_and_an_open_invitation_are_told(fresh: Running) -> None:
    assert scraped(fresh).value("kleidi_invitation_open") == 0
    admin.invite(fresh.scene.admin)
    told = scraped(fresh)
    assert told.value("kleidi_invitation_open") == 1
    assert told.value("kleidi_exports_total", what="node") == 0
    recipients = Identities.generate().recipients.names
    for dry_run, exported in ((True, 0), (False, 1)):
        admin.bundle(fresh.scene.admin, admin.bundle_request(recipients, "a test", dry_run=dry_run))
        assert scraped(fresh).value("kleidi_exports_total", what="backup") == exported


def test_a_log_that_was_changed_is_not_intact(fresh: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_AUDIT_SECONDS", 0.0)
    change(fresh, Verb.ROTATE)
    assert scraped(fresh).value("kleidi_audit_intact") == 1
    path = fresh.scene.volume.path / AUDIT
    path.write_bytes(path.read_bytes().replace(b'"time": "2', b'"time": "1', 1))
    assert scraped(fresh).value("kleidi_audit_intact") == 0


def test_who_scrapes_does_not_wait_for_a_disk(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = scraped(running).value("kleidi_audit_entries")
    hung, let_go = threading.Event(), threading.Event()

    asked = AuditLog.head

    def hang(log: AuditLog) -> Head:
        hung.set()
        let_go.wait(60)
        return asked(log)

    monkeypatch.setattr(AuditLog, "head", hang)
    try:
        for _ in range(2):
            told = scraped(running)
            assert hung.is_set()
            # What was seen last, and all that needs no disk.
            assert told.value("kleidi_audit_entries") == seen
            assert told.value("kleidi_state", state="OPERATIONAL") == 1
        with connected(running.scene.socket) as client:
            assert client.open(client.encrypt(SEED)) == SEED
    finally:
        let_go.set()
