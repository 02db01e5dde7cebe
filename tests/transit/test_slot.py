"""What a Transit server keeps of a slot: only it opens it, and what went wrong is told by its name."""

import json
import secrets
import ssl
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.settings import Settings
from appliance.slots.escrow import EscrowSecret
from appliance.slots.transit import TransitEscrow
from appliance.transit.access import Access
from appliance.volume.slot import HeldSlot
from tests.transit import hostile
from tests.transit.conftest import MakeEngine, Site, beside, by_approle, secret
from tests.transit.hostile import answer, says
from tests.transit.openbao import Node, single
from tests.transit.test_failures import NOTHING
from tests.transit.test_hostile_servers import BEHAVIOURS, CALL_SECONDS, TOKEN
from tests.transit.test_login import logins, revoke
from tests.usage.authority import Authority
from tests.volume.house import refused

KEY = secrets.token_bytes(32)
AWAY = faults.SLOT_TRANSIT_AWAY
OTHER_TEXT = "vault:v1:" + b64encode(bytes(60)).decode()


@pytest.fixture
def escrow(site: Site) -> TransitEscrow:
    return TransitEscrow(site.access)


def why(act: Callable[[], object]) -> tuple[Fault, str]:
    with pytest.raises(KleidiError) as caught:
        act()
    return caught.value.fault, caught.value.detail


def test_it_opens_what_it_closed(escrow: TransitEscrow, site: Site) -> None:
    escrow.ready()
    values = escrow.deposit(KEY)
    assert values.keys() == {"mount", "key", "salt", "escrow"}
    assert escrow.release(values) == TransitEscrow(site.access).release(values) == KEY
    assert escrow.knows(values)
    assert escrow.protection(values) == "remote"
    assert KEY.hex() not in repr(values)
    assert b64encode(KEY).decode() not in repr(values)


def test_a_slot_of_the_first_version_opens_for_ever(site: Site) -> None:
    """Closed here by hand, as a server with this key has it; the server gets the key by import."""
    wrapping = serialization.load_pem_public_key(
        site.server.api("GET", "transit/wrapping_key")["data"]["public_key"].encode()
    )
    assert isinstance(wrapping, rsa.RSAPublicKey)
    once = secrets.token_bytes(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    closed = wrapping.encrypt(once, oaep) + aes_key_wrap_with_padding(once, bytes(range(32)))
    fields = {"ciphertext": b64encode(closed).decode(), "type": "aes256-gcm96", "hash_function": "SHA256"}
    site.server.api("POST", f"transit/keys/{site.key}-golden/import", fields)
    golden = {
        "mount": "transit",
        "key": f"{site.key}-golden",
        "salt": "000102030405060708090a0b0c0d0e0f",
        "escrow": "vault:v1:ZGVmZ2hpamtsbW5vgNIUrbUkmFHus407DrC8Kpob3NFXsS2tRzBOqx9GQ69RxzFuZrJ4vrQNW+LENaRQ",
    }
    site.token(site.server.root)
    assert TransitEscrow(site.access).release(golden) == bytes(range(200, 232))


def test_one_key_twice_is_two_slots(escrow: TransitEscrow) -> None:
    one, other = escrow.deposit(KEY), escrow.deposit(KEY)
    assert one["salt"] != other["salt"]
    assert one["escrow"] != other["escrow"]
    # What is closed belongs to its own salt.
    assert refused(lambda: escrow.release({**one, "salt": other["salt"]})) is faults.TRANSIT_KEY_OTHER


def test_it_is_one_for_the_process(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KleidiError, match="KLEIDI_TRANSIT_ADDRESSES") as caught:
        TransitEscrow.of(Settings())
    assert caught.value.fault is faults.CONFIG
    monkeypatch.setenv("KLEIDI_TRANSIT_ADDRESSES", site.server.address)
    monkeypatch.setenv("KLEIDI_TRANSIT_CA_FILE", str(site.access.ca_file))
    monkeypatch.setenv("KLEIDI_TRANSIT_TOKEN_FILE", str(site.access.token_file))
    monkeypatch.setenv("KLEIDI_TRANSIT_KEY", site.key)
    assert TransitEscrow.of(Settings()) is TransitEscrow.of(Settings())
    assert TransitEscrow.of(Settings()).deposit(KEY)["key"] == site.key


@pytest.mark.parametrize(
    "options",
    [
        {"exportable": True},
        {"allow_plaintext_backup": True},
        {"derived": True},
        {"derived": True, "convergent_encryption": True},
        {"type": "chacha20-poly1305"},
        {"type": "aes128-gcm96"},
        {"type": "rsa-2048"},
    ],
    ids=repr,
)
def test_a_key_that_is_unfit_is_refused(site: Site, options: dict[str, object]) -> None:
    site.server.delete_key(site.key)
    site.server.api("POST", f"transit/keys/{site.key}", {"type": "aes256-gcm96", **options})
    escrow = TransitEscrow(site.access)
    assert refused(escrow.ready) is faults.TRANSIT_KEY_UNFIT
    assert refused(lambda: escrow.deposit(KEY)) is faults.TRANSIT_KEY_UNFIT


def test_a_rotation_changes_nothing_for_what_is_closed(escrow: TransitEscrow, site: Site) -> None:
    old = escrow.deposit(KEY)
    site.server.rotate(site.key)
    new = escrow.deposit(KEY)
    assert old["escrow"].startswith("vault:v1:")
    assert new["escrow"].startswith("vault:v2:")
    assert escrow.release(old) == escrow.release(new) == KEY
    assert escrow.knows(old)


def test_the_settings_name_the_key_of_new_slots_alone(escrow: TransitEscrow, site: Site) -> None:
    old = escrow.deposit(KEY)
    site.server.create_key(f"{site.key}-next")
    site.token(site.server.token(site.key, "root"))
    moved = TransitEscrow(replace(site.access, key=f"{site.key}-next"))
    assert moved.release(old) == KEY
    assert moved.knows(old)
    assert moved.deposit(KEY)["key"] == f"{site.key}-next"


def test_a_version_that_is_excluded_heals_when_it_is_let_in(escrow: TransitEscrow, site: Site) -> None:
    values = escrow.deposit(KEY)
    site.server.rotate(site.key)
    site.server.configure_key(site.key, min_decryption_version=2)
    assert refused(lambda: escrow.release(values)) is faults.TRANSIT_KEY_OFF
    assert refused(lambda: escrow.knows(values)) is faults.TRANSIT_KEY_OFF
    site.server.configure_key(site.key, min_decryption_version=1)
    assert escrow.release(values) == KEY


def test_a_soft_deleted_key_heals_when_it_is_restored(escrow: TransitEscrow, site: Site) -> None:
    values = escrow.deposit(KEY)
    site.server.api("DELETE", f"transit/keys/{site.key}/soft-delete")
    assert refused(escrow.ready) is faults.TRANSIT_KEY_UNFIT
    assert refused(lambda: escrow.release(values)) is faults.TRANSIT_KEY_OFF
    assert refused(lambda: escrow.knows(values)) is faults.TRANSIT_KEY_OFF
    site.server.api("POST", f"transit/keys/{site.key}/soft-delete-restore")
    assert escrow.release(values) == KEY


def test_a_key_that_is_deleted_and_made_anew(escrow: TransitEscrow, site: Site) -> None:
    first = escrow.deposit(KEY)
    site.server.rotate(site.key)
    second = escrow.deposit(KEY)
    site.server.delete_key(site.key)
    for values in (first, second):
        assert refused(lambda values=values: escrow.release(values)) is faults.TRANSIT_KEY_GONE  # type: ignore[misc]
        assert refused(lambda values=values: escrow.knows(values)) is faults.TRANSIT_KEY_GONE  # type: ignore[misc]
    assert refused(escrow.ready) is faults.TRANSIT_KEY_GONE
    assert refused(lambda: escrow.deposit(KEY)) is faults.TRANSIT_KEY_GONE
    site.server.create_key(site.key)
    assert refused(lambda: escrow.release(first)) is faults.TRANSIT_KEY_OTHER
    assert refused(lambda: escrow.release(second)) is faults.TRANSIT_KEY_OFF
    assert not escrow.knows(second)


def test_the_printed_policy_is_enough_and_its_hmac_is_not_needed(escrow: TransitEscrow, site: Site) -> None:
    values = escrow.deposit(KEY)
    whole = str(site.server.api("GET", f"sys/policies/acl/{site.key}")["data"]["policy"])

    def without(line: str) -> None:
        lines = [each for each in whole.splitlines() if not each.startswith(f'path "transit/{line}/')]
        assert len(lines) == len(whole.splitlines()) - 1
        site.server.policy(site.key, "\n".join(lines))

    without("hmac")
    assert escrow.release(escrow.deposit(KEY)) == KEY
    without("encrypt")
    assert escrow.release(values) == KEY
    assert why(lambda: escrow.deposit(KEY))[0] is AWAY
    without("keys")
    assert escrow.release(values) == KEY
    assert why(lambda: escrow.knows(values))[0] is AWAY
    without("decrypt")
    fault, detail = why(lambda: escrow.release(values))
    assert fault is AWAY
    assert detail.startswith("E-TRANSIT-DENIED, ")
    site.server.policy(site.key, NOTHING)
    assert why(escrow.ready)[0] is AWAY
    site.server.policy(site.key, whole)
    assert escrow.release(values) == KEY


def test_all_tokens_revoked_cost_one_login(site: Site, make_engine: MakeEngine) -> None:
    escrow = TransitEscrow(by_approle(site, make_engine).access)
    values = escrow.deposit(KEY)
    assert [escrow.release(values) for _ in range(5)] == [KEY] * 5
    assert logins(site) == 1
    revoke(site)
    assert escrow.release(values) == KEY
    assert logins(site) == 1


@pytest.mark.parametrize(
    ("changed", "inner"),
    [
        ({"auth_mount": "nowhere"}, "E-TRANSIT-LOGIN"),
        ({"secret_id_file": Path("/nonexistent/secret-id")}, "E-TRANSIT-SECRET"),
        ({"ca_file": None}, "E-TRANSIT-TLS"),
        ({"server_name": "vault.example.com"}, "E-TRANSIT-TLS"),
        ({"addresses": ("https://127.0.0.1:1",)}, "E-TRANSIT-AWAY"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_whatever_is_in_the_way_is_named_in_the_detail(
    site: Site, make_engine: MakeEngine, changed: dict[str, object], inner: str
) -> None:
    values = TransitEscrow(site.access).deposit(KEY)
    access = replace(by_approle(site, make_engine).access, **changed)  # type: ignore[arg-type]
    escrow = TransitEscrow(access, CALL_SECONDS)
    for act in (escrow.ready, lambda: escrow.release(values), lambda: escrow.knows(values)):
        fault, detail = why(act)
        assert fault is AWAY
        assert detail.startswith(f"{inner}, ")


def test_a_mount_that_is_not_there_and_a_key_that_is_not(site: Site) -> None:
    values = TransitEscrow(site.access).deposit(KEY)
    site.token(site.server.root)
    escrow = TransitEscrow(site.access)
    assert why(lambda: escrow.release({**values, "mount": "nowhere"}))[1].startswith("E-TRANSIT-PLACE, ")
    assert refused(lambda: escrow.release({**values, "key": "no-such"})) is faults.TRANSIT_KEY_GONE
    # Nobody made it meanwhile.
    assert site.server.ask("GET", "transit/keys/no-such")[0] == 404


@pytest.fixture
def own(
    site: Site, make_engine: MakeEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Node, TransitEscrow]]:
    """A server that a test may seal, hang and kill, and what uses it."""
    directory = tmp_path_factory.mktemp("own")
    with single(directory / "bao", site.server.authority) as node:
        (directory / "node").mkdir()
        yield node, TransitEscrow(beside(node, directory / "node", make_engine).access, 2.0)


def test_an_outage_ends_by_itself(own: tuple[Node, TransitEscrow]) -> None:
    node, escrow = own
    values = escrow.deposit(KEY)
    node.seal()
    fault, detail = why(lambda: escrow.release(values))
    assert fault is AWAY
    assert detail.startswith("E-TRANSIT-SEALED, ")
    node.unseal()
    node.wait_active()
    assert escrow.release(values) == KEY
    node.stop()
    try:
        fault, detail = why(lambda: escrow.release(values))
    finally:
        node.cont()
    assert (fault, detail.partition(",")[0]) == (AWAY, "E-TRANSIT-AWAY")
    assert escrow.release(values) == KEY
    node.kill()
    assert why(lambda: escrow.release(values))[0] is AWAY
    node.start()
    node.unseal()
    node.wait_active()
    assert escrow.release(values) == KEY


GOOD = {
    "mount": "transit",
    "key": "kleidi",
    "salt": "00" * 16,
    "escrow": OTHER_TEXT,
}


NONE: dict[str, list[object]] = {
    "mount": ["", "../sys", "transit/../../sys", "/".join("a" * 9), "a" * 200, "tra nsit"],
    "key": ["", ["kleidi"], "kleidi/../other", "kleidi?x=1", "kleidi\r\nX-Vault-Token: x", "k" * 129],
    "salt": ["", None, "00" * 15, "00" * 17, "0G" * 16],
    "escrow": [
        "",
        ["vault:v1:"],
        "vault:v1:",
        OTHER_TEXT + "A",
        OTHER_TEXT[:-1],
        OTHER_TEXT[:-1] + "\n",
        OTHER_TEXT[:-1] + "=",
        *(OTHER_TEXT.replace("v1", other) for other in ("v0", "v01", "v+1", "v1234567890")),
        OTHER_TEXT.replace("vault", "openbao"),
        "vault:v1:" + "A" * 1_000_000,
    ],
}


@pytest.mark.parametrize("name", NONE)
def test_values_that_are_none_are_sent_to_nobody(name: str, authority: Authority, tmp_path: Path) -> None:
    with hostile.hostile(authority, says(answer(500, b"{}"))) as server:
        escrow = asking(server.address, authority, tmp_path)
        for each in NONE[name]:
            values: dict[str, Any] = {**GOOD, name: each}
            for act in (escrow.release, escrow.knows):
                assert refused(lambda act=act, values=values: act(values)) is faults.SEAL_CORRUPT  # type: ignore[misc]
        assert server.connections == 0


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_value_that_is_missing(missing: str, authority: Authority, tmp_path: Path) -> None:
    escrow = asking("https://127.0.0.1:1", authority, tmp_path)
    values = {name: value for name, value in GOOD.items() if name != missing}
    assert refused(lambda: escrow.release(values)) is faults.SEAL_CORRUPT


def asking(address: str, authority: Authority, directory: Path) -> TransitEscrow:
    token = secret(directory / "their-token", TOKEN)
    access = Access((address,), ca_file=authority.certificate, token_file=token)
    return TransitEscrow(access, CALL_SECONDS)


def plain(data: bytes) -> bytes:
    return json.dumps({"data": {"plaintext": b64encode(data).decode()}}).encode()


OPENED = {
    "31 bytes": answer(200, plain(bytes(31))),
    "33 bytes": answer(200, plain(bytes(33))),
    "nothing": answer(200, plain(b"")),
    "64 KiB": answer(200, plain(bytes(1 << 16))),
    "10 MB": answer(200, plain(bytes(10 << 20))),
    "another spelling": answer(200, json.dumps({"data": {"plaintext": "A" * 42 + "B="}}).encode()),
    "with warnings": answer(200, plain(bytes(32))[:-1] + b', "warnings": ["ignored associated_data"]}'),
    "a mistake of ours": answer(400, b'{"errors": ["failed to parse JSON input"]}'),
    "no method": answer(405, b'{"errors": []}'),
}


@pytest.mark.parametrize("name", [*BEHAVIOURS, *OPENED])
def test_whatever_answers_in_its_place_gives_no_key(name: str, authority: Authority, tmp_path: Path) -> None:
    behave = BEHAVIOURS[name][0] if name in BEHAVIOURS else says(OPENED[name])
    with hostile.hostile(authority, behave) as server:
        escrow = asking(server.address, authority, tmp_path)
        tracemalloc.start()
        try:
            fault, detail = why(lambda: escrow.release(GOOD))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 << 20
        assert fault is AWAY
        assert TOKEN not in detail
        assert why(lambda: escrow.deposit(KEY))[0] is AWAY
        assert why(escrow.ready)[0] is AWAY


def test_a_server_that_binds_nothing_gets_no_slot(authority: Authority, tmp_path: Path) -> None:
    """It passes over associated data, as a Vault before 1.13 does, and gives back what it is told."""
    told: dict[str, str] = {}

    def behave(connection: ssl.SSLSocket, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        fields = json.loads(body or b"{}")
        data: dict[str, object] = {"latest_version": 1, "min_decryption_version": 1, "type": "aes256-gcm96"}
        if b"/encrypt/" in head:
            told["plaintext"] = fields["plaintext"]
            data = {"ciphertext": OTHER_TEXT}
        elif b"/decrypt/" in head:
            data = dict(told)
        connection.sendall(answer(200, json.dumps({"data": data}).encode()))

    with hostile.hostile(authority, behave) as server:
        fault, detail = why(lambda: asking(server.address, authority, tmp_path).deposit(KEY))
    assert fault is AWAY
    assert "associated data is not bound" in detail


def test_other_bytes_of_the_right_length_open_nothing(authority: Authority, tmp_path: Path) -> None:
    with hostile.hostile(authority, says(answer(200, plain(bytes(32))))) as server:
        slot = HeldSlot("transit", GOOD, KEY).wrap(secrets.token_bytes(32), b"context")
        given = EscrowSecret(asking(server.address, authority, tmp_path))
        assert given.unwrap(slot, b"context") is None
        # What the server chose is a key like any other, and opens what was closed with it.
        data_key = secrets.token_bytes(32)
        assert given.unwrap(HeldSlot("transit", GOOD, bytes(32)).wrap(data_key, b"c"), b"c") == data_key


def test_a_server_that_went_away_is_asked_once_for_all_slots(authority: Authority, tmp_path: Path) -> None:
    with hostile.hostile(authority, BEHAVIOURS["sealed"][0]) as server:
        given = EscrowSecret(asking(server.address, authority, tmp_path))
        slot = HeldSlot("transit", GOOD, KEY).wrap(secrets.token_bytes(32), b"context")
        assert refused(lambda: given.unwrap(slot, b"context")) is AWAY
        asked = len(server.received)
        assert refused(lambda: given.unwrap(slot, b"context")) is AWAY
        assert len(server.received) == asked


def test_no_connection_is_kept_between_two_questions(escrow: TransitEscrow) -> None:
    values = escrow.deposit(KEY)
    client = vars(escrow)["_client"]
    assert [vars(node)["_kept"] for node in client.nodes] == [[]]
    assert escrow.release(values) == KEY
    assert [vars(node)["_kept"] for node in client.nodes] == [[]]
