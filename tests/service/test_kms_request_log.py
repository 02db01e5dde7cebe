import base64
import hashlib
import logging
from functools import partial

import grpc
import pytest

from appliance import faults, logs
from appliance.keys.keyset import KeyState
from tests.service.client import Client, refused
from tests.service.journal import Journal
from tests.service.running import Running, until

PLAINTEXT = b"a seed that nobody may ever read"


def forms(secret: bytes) -> list[str]:
    """How bytes may look in a text."""
    return [secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]]


def test_every_request_has_one_line_with_its_uid(running: Running, client: Client, journal: Journal) -> None:
    wrapped = client.encrypt(PLAINTEXT, "uid-1")
    client.decrypt(wrapped.key_id, wrapped.ciphertext, "uid-2")
    refused(lambda: client.encrypt(b"", "uid-3"))
    refused(lambda: client.decrypt("nobody's", wrapped.ciphertext, "uid-4"))
    refused(lambda: client.decrypt(wrapped.key_id, wrapped.ciphertext[:-1], "uid-5"))
    refused(lambda: client.decrypt(running.scene.key(KeyState.DISABLED).id, wrapped.ciphertext, "uid-6"))
    expected = {
        "uid-1": ("Encrypt", "info", None),
        "uid-2": ("Decrypt", "info", None),
        "uid-3": ("Encrypt", "warning", faults.PLAINTEXT_SIZE.id),
        "uid-4": ("Decrypt", "warning", faults.KEY_UNKNOWN.id),
        "uid-5": ("Decrypt", "warning", faults.CIPHERTEXT_TAMPERED.id),
        "uid-6": ("Decrypt", "warning", faults.KEY_DISABLED.id),
    }
    for uid, line in expected.items():
        until(partial(journal.lines, uid=uid), f"a line of {uid}")
        (found,) = journal.lines(uid=uid)
        assert (found["msg"], found["level"], found.get("id")) == line
        assert found["ms"] >= 0
    for uid in ("uid-1", "uid-2"):
        # As the API server's log and metrics have it (storagebackend/…/kmsv2, GetHashIfNotEmpty).
        hashed = f"sha256:{hashlib.sha256(wrapped.key_id.encode()).hexdigest()}"
        assert journal.lines(uid=uid, key_id=wrapped.key_id, key_id_hash=hashed)


def test_a_uid_cannot_forge_a_line(client: Client, journal: Journal) -> None:
    forged = 'x\n{"level":"info","msg":"Decrypt","uid":"forged"}'
    refused(lambda: client.encrypt(b"", forged))
    client.encrypt(PLAINTEXT, "the last")
    until(lambda: journal.lines(uid="the last"), "the last line")
    assert not journal.lines(uid="forged")
    (line,) = journal.lines(id=faults.PLAINTEXT_SIZE.id)
    assert line["uid"] == forged.replace("\n", "?")[:64]


def test_no_payload_is_ever_in_the_log(running: Running, client: Client, journal: Journal) -> None:
    wrapped = client.encrypt(PLAINTEXT, "uid-1")
    client.open(wrapped)
    refused(lambda: client.decrypt(wrapped.key_id, wrapped.ciphertext + b"x"))
    refused(lambda: client.send("Encrypt", b"\x0a\x50" + PLAINTEXT))
    running.scene.engine.break_with(ZeroDivisionError())
    assert refused(lambda: client.encrypt(PLAINTEXT)).code is grpc.StatusCode.INTERNAL
    assert refused(lambda: client.open(wrapped)).code is grpc.StatusCode.INTERNAL
    running.scene.engine.break_with(None)
    running.stop()
    assert journal.lines(msg="a mistake of ours")
    parts = (PLAINTEXT, wrapped.ciphertext, wrapped.ciphertext[13:])
    leaked = [form for part in parts for form in forms(part) if form in journal.text]
    assert not leaked


def test_a_healthy_status_is_only_logged_for_who_debugs(client: Client, journal: Journal) -> None:
    client.status()
    until(lambda: journal.lines(msg="Status"), "a line of Status")
    assert {line["level"] for line in journal.lines(msg="Status")} == {"debug"}


def test_the_life_of_the_token_is_logged_once_each(running: Running, journal: Journal) -> None:
    running.stop()
    for message in ("token open", "stopping", "stopped"):
        assert len(journal.lines(msg=message, level="info")) == 1
    listening = [line["socket"] for line in journal.lines(msg="listening", level="info")]
    sockets = (running.scene.socket, running.scene.admin, running.scene.health)
    assert sorted(listening) == sorted(map(str, sockets))
    (step,) = journal.lines(msg="state")
    assert (step["from"], step["to"], step["level"]) == ("STARTING", "OPERATIONAL", "info")
    assert step["key_id"] == running.scene.key().id


def test_text_lines_have_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, propagate = logs.log.handlers[:], logs.log.propagate
    logs.configure(form="text", level="info")
    try:
        logs.event(logging.INFO, "Encrypt", uid="uid-1", key_id="", ms=0.5)
        logs.event(logging.DEBUG, "Status", uid="")
    finally:
        logs.log.handlers[:], logs.log.propagate = handlers, propagate
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" info    Encrypt uid=uid-1 ms=0.5")
