"""What every engine promises, of Transit's: bytes come back, bound to what they were wrapped with."""

import base64
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.keys import key_id
from appliance.keys.engine import (
    AwayError,
    Engine,
    EngineState,
    Inspects,
    LostError,
    OffError,
    TamperedError,
)
from appliance.transit.key import Version
from tests.transit.conftest import MakeEngine, Site
from tests.volume.house import refused


def test_it_is_an_engine(site: Site) -> None:
    engine: Engine = site.engine
    assert isinstance(engine, Inspects)
    assert engine.lanes == 16
    assert site.engine.remote


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 995])
def test_gives_back_what_it_took(site: Site, size: int) -> None:
    made, plaintext = site.take(), secrets.token_bytes(size)
    body = site.wrap(made, plaintext)
    assert len(body) == 12 + size + 16
    assert site.unwrap(made, body) == plaintext
    assert body != site.wrap(made, plaintext)


def test_its_bytes_are_aes_gcm_and_the_reverse(site: Site) -> None:
    site.server.create_key(f"{site.key}-open", exportable=True)
    exported = site.server.api("GET", f"transit/export/encryption-key/{site.key}-open/1")
    ours = AESGCM(base64.b64decode(exported["data"]["keys"]["1"]))
    site.token(site.server.root)
    version = Version("transit", f"{site.key}-open", 1)
    body = site.engine.keys.encrypt(version, b"plaintext", b"aad")
    assert ours.decrypt(body[:12], body[12:], b"aad") == b"plaintext"
    nonce = secrets.token_bytes(12)
    there = nonce + ours.encrypt(nonce, b"plaintext", b"aad")
    assert site.engine.keys.decrypt(version, there, b"aad") == b"plaintext"


def test_what_no_caller_may_ask(site: Site) -> None:
    made = site.take()
    with pytest.raises(ValueError, match="plaintext"):
        site.engine.wrap(made.object_id, b"", b"aad")
    with pytest.raises(ValueError, match="additional data"):
        site.engine.wrap(made.object_id, b"plaintext", b"")
    with pytest.raises(ValueError, match="additional data"):
        site.engine.unwrap(made.object_id, bytes(60), b"")
    with pytest.raises(ValueError, match="tag"):
        site.engine.unwrap(made.object_id, bytes(28), b"aad")


def test_refuses_every_flipped_bit(site: Site) -> None:
    made = site.take()
    body = site.wrap(made, b"plaintext")
    for bit in range(len(body) * 8):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedError):
            site.unwrap(made, bytes(changed))


@pytest.mark.parametrize("aad", [b"aa", b"aad\0", b"Aad"])
def test_refuses_other_associated_data(site: Site, aad: bytes) -> None:
    made = site.take()
    with pytest.raises(TamperedError):
        site.engine.unwrap(made.object_id, site.wrap(made), aad)


@pytest.mark.parametrize("size", [29, 32, 59])
def test_refuses_a_truncated_body(site: Site, size: int) -> None:
    made = site.take()
    with pytest.raises(TamperedError):
        site.unwrap(made, site.wrap(made)[:size])


def test_refuses_another_version(site: Site) -> None:
    first = site.take()
    body = site.wrap(first)
    site.server.rotate(site.key)
    second = site.take(first.state)
    assert (first.object_id, second.object_id) == (f"transit/{site.key}:1", f"transit/{site.key}:2")
    assert key_id.fingerprint(first.print_source) != key_id.fingerprint(second.print_source)
    assert site.unwrap(first, body) == bytes(32)
    with pytest.raises(TamperedError):
        site.unwrap(second, body)


def test_a_key_that_is_not_held_is_lost(site: Site) -> None:
    made = site.take()
    for name in (f"transit/{site.key}:2", "transit/other:1", "nonsense"):
        with pytest.raises(LostError):
            site.engine.wrap(name, b"plaintext", b"aad")
    site.engine.close()
    with pytest.raises(LostError):
        site.wrap(made)
    site.engine.open(site.directory, made.state)
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


def test_sixteen_lanes_at_once(site: Site) -> None:
    made = site.take()
    with ThreadPoolExecutor(16) as lanes:
        texts = [secrets.token_bytes(32) for _ in range(320)]
        assert list(lanes.map(lambda text: site.unwrap(made, site.wrap(made, text)), texts)) == texts


def test_an_engine_that_is_not_configured_says_so(site: Site, make_engine: MakeEngine) -> None:
    made, engine = site.take(), make_engine(type(site.access)())
    engine.open(site.directory, made.state)
    assert engine.needs(made.state) == f"Transit key transit/{site.key}, version 1"
    for call in (
        lambda: engine.wrap(made.object_id, b"plaintext", b"aad"),
        lambda: engine.unwrap(made.object_id, bytes(60), b"aad"),
        engine.inspect,
        lambda: engine.find(EngineState(), "0" * 12),
    ):
        with pytest.raises(AwayError) as caught:
            call()
        assert caught.value.fault is faults.TRANSIT_UNSET
    answers = {made.object_id: made.known_answer}
    assert refused(lambda: engine.make(site.directory, EngineState(), "")) is faults.TRANSIT_UNSET
    assert refused(lambda: engine.prove(site.directory, made.state, answers)) is faults.TRANSIT_UNSET
    engine.prove(site.directory, EngineState(), {})
    assert engine.needs(engine.destroy(site.directory, made.state, made.object_id)) == ""


def test_what_another_plugin_wrote_without_associated_data_opens(site: Site) -> None:
    text = base64.b64encode(b"plaintext").decode()
    written = site.server.api("POST", f"transit/encrypt/{site.key}", {"plaintext": text})["data"][
        "ciphertext"
    ]
    body = base64.b64decode(written.removeprefix("vault:v1:"))
    bound = site.take()
    adopted = site.engine.take_over(bound.state, f"transit/{site.key}:1")
    assert adopted.object_id == f"{bound.object_id};no-aad"
    site.engine.open(site.directory, adopted.state)
    assert site.unwrap(adopted, body) == b"plaintext"
    with pytest.raises(ValueError, match="only unwraps"):
        site.wrap(adopted)
    with pytest.raises(TamperedError):
        site.unwrap(bound, body)
    answers = {made.object_id: made.known_answer for made in (bound, adopted)}
    site.engine.prove(site.directory, adopted.state, answers)
    again = refused(lambda: site.engine.take_over(adopted.state, f"transit/{site.key}:1"))
    assert again is faults.KEY_ADOPTED_ALREADY


def test_another_key_under_the_name_is_told_from_damaged_data(site: Site) -> None:
    made = site.take()
    body = site.wrap(made)
    site.server.delete_key(site.key)
    site.server.create_key(site.key)
    with pytest.raises(OffError) as caught:
        site.unwrap(made, body)
    assert caught.value.fault is faults.TRANSIT_KEY_OTHER
    answers = {made.object_id: made.known_answer}
    assert refused(lambda: site.engine.prove(site.directory, made.state, answers)) is faults.TRIAL_FAILED
    assert refused(lambda: site.take(made.state)) is faults.TRANSIT_KEY_OTHER
