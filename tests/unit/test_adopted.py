"""What other plugins stored still opens; the golden bytes were made as their Go code makes them.

`nonce 12 | AES-256-GCM(seed), tag 16`, the key's label as associated data (internal/providers/pkcs11.go
of the original kleidi, internal/plugins/_mock/pkg/service/pkcs11.go of kubernetes/kms).
"""

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys import adopted
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import Adopted, Key, KeySet, KeyState
from tests.fakes import FakeCipher

SEED = b"thirty-two bytes of a seed, here"
VALUE = bytes(range(32))
GOLDEN = {
    "kleidi-kms-plugin": (
        "v2.kleidi.beezy.dev",
        (
            "0102030405060708090a0b0c718233a798edddf23bcd432569678f5b622c"
            "87def64d23a0c43bd504f6d304a0de4d4b7b5f919a2c52be569ae4b2af7e"
        ),
    ),
    "kms-test": (
        "version.encryption.remote.io",
        (
            "15161718191a1b1c1d1e1f204f01d81ad32c4f248687a86b7af1847ec7ab"
            "f1cef87b33e3428762ce16dcf87cf05086bc823a07968d1ef6988206417e"
        ),
    ),
}
ours = pytest.mark.parametrize("label", GOLDEN)


def keyring(theirs: Adopted, cipher: FakeCipher | None = None) -> Keyring:
    """Our primary key, and theirs adopted."""
    cipher = cipher or FakeCipher({"serial/label:x": VALUE})
    mine = Key.born("0123456789ab", 1, KeyState.PRIMARY, cipher.generate("object-1"))
    other = Key.born("0123456789ab", 2, KeyState.RETIRED, cipher.made("serial/label:x"), adopted=theirs)
    return Keyring(KeySet("0123456789ab", (mine, other)), {SOFTHSM: cipher})


def refused(ring: Keyring, key_id: str, data: bytes, annotations: Mapping[str, bytes]) -> Fault:
    with pytest.raises(KleidiError) as caught:
        ring.unwrap(key_id, data, annotations)
    return caught.value.fault


@ours
def test_a_golden_ciphertext_opens(label: str) -> None:
    annotation, golden = GOLDEN[label]
    assert adopted.KNOWN[label] == Adopted(label, annotation)
    ring = keyring(adopted.KNOWN[label])
    assert ring.unwrap(label, bytes.fromhex(golden), {annotation: b"1"}) == SEED


@ours
def test_any_flipped_bit_of_it_is_damage(label: str) -> None:
    annotation, golden = GOLDEN[label]
    data, ring = bytes.fromhex(golden), keyring(adopted.KNOWN[label])
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert refused(ring, label, bytes(changed), {annotation: b"1"}) is faults.CIPHERTEXT_TAMPERED


@ours
@pytest.mark.parametrize("kind", ["none", "another value", "another name", "two", "ours"])
def test_it_carries_exactly_its_one_annotation(label: str, kind: str) -> None:
    annotation, golden = GOLDEN[label]
    annotations = {
        "none": {},
        "another value": {annotation: b"2"},
        "another name": {f"x.{annotation}": b"1"},
        "two": {annotation: b"1", "other.example.org": b"1"},
        "ours": {"": b"1"},
    }[kind]
    ring = keyring(adopted.KNOWN[label])
    assert refused(ring, label, bytes.fromhex(golden), annotations) is faults.ANNOTATIONS_FOREIGN


def test_what_one_plugin_wrote_does_not_open_as_the_others() -> None:
    annotation, _ = GOLDEN["kms-test"]
    data = bytes.fromhex(GOLDEN["kleidi-kms-plugin"][1])
    ring = keyring(adopted.KNOWN["kms-test"])
    assert refused(ring, "kms-test", data, {annotation: b"1"}) is faults.CIPHERTEXT_TAMPERED


def test_nothing_new_is_ever_written_with_an_adopted_key() -> None:
    ring = keyring(adopted.KNOWN["kms-test"])
    wrapped = ring.wrap(SEED)
    assert wrapped.key_id == ring.keyset.primary.id != "kms-test"
    assert ring.unwrap(wrapped.key_id, wrapped.envelope) == SEED


def test_our_own_envelope_under_their_key_id_is_refused() -> None:
    ring = keyring(adopted.KNOWN["kms-test"])
    annotations = {"version.encryption.remote.io": b"1"}
    assert refused(ring, "kms-test", ring.wrap(SEED).envelope, annotations) is faults.CIPHERTEXT_TAMPERED


@given(st.binary(max_size=1100))
def test_any_bytes_make_an_envelope_or_are_refused(data: bytes) -> None:
    theirs = adopted.KNOWN["kms-test"]
    try:
        opened = adopted.opened(data, {theirs.annotation: b"1"}, theirs)
    except KleidiError as error:
        assert error.fault is faults.ENVELOPE_INVALID  # noqa: PT017  both are right
        assert not 28 < len(data) <= 1024
    else:
        assert opened.body == data


# ---- the original's Vault provider: Transit's text

IN_TRANSIT = "kleidi-kms-plugin_3_1700000000"
BODY = bytes.fromhex(GOLDEN["kms-test"][1])
TEXT = b"vault:v3:" + base64.b64encode(BODY)
ORIGINAL = {"v2.kleidi.beezy.dev": b"1"}


def test_the_key_id_names_the_version() -> None:
    assert adopted.in_transit(IN_TRANSIT) == (
        Adopted(IN_TRANSIT, "v2.kleidi.beezy.dev", adopted.TRANSIT_TEXT),
        3,
    )


@pytest.mark.parametrize(
    "name", ["", "kleidi-kms-plugin", "kleidi-kms-plugin_0_1", "kleidi-kms-plugin_1_x", "x_1_1"]
)
def test_another_key_id_is_none_of_the_providers(name: str) -> None:
    with pytest.raises(KleidiError) as caught:
        adopted.in_transit(name)
    assert caught.value.fault is faults.TOKEN_NOT_ADOPTED


def test_its_text_is_the_bytes_in_base64() -> None:
    theirs, _ = adopted.in_transit(IN_TRANSIT)
    assert adopted.opened(TEXT, ORIGINAL, theirs).body == BODY


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        TEXT.replace(b"v3", b"v4"),
        TEXT.replace(b"v3", b"v03"),
        TEXT.replace(b"vault", b"openbao"),
        TEXT + b"\n",
        TEXT[:-2] + b"\n" + TEXT[-2:],
        TEXT[:-1],
        b"vault:v3:" + base64.b64encode(bytes(28)),
        b"",
    ],
    ids=[
        "raw",
        "version",
        "spelling",
        "prefix",
        "newline",
        "newline inside",
        "cut",
        "nothing inside",
        "empty",
    ],
)
def test_what_transit_would_read_as_the_same_is_refused(text: bytes) -> None:
    theirs, _ = adopted.in_transit(IN_TRANSIT)
    with pytest.raises(KleidiError) as caught:
        adopted.opened(text, ORIGINAL, theirs)
    assert caught.value.fault is faults.ENVELOPE_INVALID


@given(st.binary(max_size=1100))
def test_any_text_is_opened_or_refused(data: bytes) -> None:
    theirs, _ = adopted.in_transit(IN_TRANSIT)
    with pytest.raises(KleidiError) as caught:
        adopted.opened(data, ORIGINAL, theirs)
    assert caught.value.fault is faults.ENVELOPE_INVALID
