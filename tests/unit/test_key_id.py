"""Names of keys: public, lasting, telling nothing."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults, key_hash
from appliance.faults import KleidiError
from appliance.keys import key_id
from tests.fakes import FakeCipher

KEY = bytes(range(32))
# What KEY makes of the probe, and its name: as lasting as the ciphertexts that carry it.
KNOWN_ANSWER = bytes.fromhex(
    "9a1dd51d62e1ca2f309eb224fcb4e77e835b7d104417c4d045551c057ce768ae9bd09ddce3e9c7ca38a6bcbf8d41bc56"
)
FINGERPRINT = "bb5ab19bc585"


def test_is_made_of_lineage_version_and_fingerprint() -> None:
    assert key_id.compose("0123456789ab", 7, FINGERPRINT) == f"kleidi/0123456789ab/v7/{FINGERPRINT}"


@given(st.from_regex(key_id.LINEAGE, fullmatch=True), st.integers(1, 10**9), st.binary(max_size=64))
def test_every_id_of_ours_is_short_ascii_and_passes_the_check(
    lineage: str, version: int, answer: bytes
) -> None:
    made = key_id.compose(lineage, version, key_id.fingerprint(answer))
    assert made.isascii()
    assert len(made) < 128
    key_id.check(made)


@given(st.from_regex(key_id.LINEAGE, fullmatch=True), st.integers(1, 10**9), st.binary(max_size=64))
def test_an_id_of_ours_names_its_lineage(lineage: str, version: int, answer: bytes) -> None:
    assert key_id.lineage(key_id.compose(lineage, version, key_id.fingerprint(answer))) == lineage


@pytest.mark.parametrize(
    "other",
    [
        "",
        "kms-test",
        "kleidi/0123456789ab",
        "kleidi/0123456789ab/v1/xyz",
        "kleidi/0123456789AB/v1/bb5ab19bc585",
    ],
)
def test_any_other_id_names_no_lineage(other: str) -> None:
    assert key_id.lineage(other) == ""


def test_a_keys_known_answer_and_fingerprint_never_change() -> None:
    made = FakeCipher({"key": KEY}).made("key")
    assert (made.known_answer, made.print_source) == (b"kleidi/probe" + KNOWN_ANSWER, KNOWN_ANSWER)
    assert key_id.fingerprint(KNOWN_ANSWER) == FINGERPRINT


def test_the_fingerprint_is_not_the_usual_check_value() -> None:
    block = BlockCipher(algorithms.AES(KEY), modes.ECB()).encryptor()  # noqa: S305  to show that it is not used
    check_value = block.update(bytes(16)).hex()
    assert FINGERPRINT not in check_value
    assert check_value not in KNOWN_ANSWER.hex()
    assert FINGERPRINT not in hashlib.sha256(KEY).hexdigest()


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_different_answers_have_different_fingerprints(one: bytes, other: bytes) -> None:
    assert (key_id.fingerprint(one) == key_id.fingerprint(other)) is (one == other)


@given(st.text(max_size=40) | st.text(min_size=1020, max_size=1030))
def test_the_check_takes_it_or_raises_its_own_error(text: str) -> None:
    fit = 1 <= len(text) <= key_id.MAX_SIZE and all(" " <= character <= "~" for character in text)
    try:
        key_id.check(text)
    except KleidiError as error:
        assert error.fault is faults.KEY_ID_INVALID  # noqa: PT017
        assert not fit
    else:
        assert fit


def test_another_plugins_id_is_well_formed() -> None:
    key_id.check("arn:aws:kms:eu-central-1:111122223333:key/1234abcd")


@pytest.mark.parametrize("text", ["", "x" * 1025, "x" * 2048, "schlüssel", "a\nb", "a\x00b"])
def test_refuses_what_no_plugin_could_have_announced(text: str) -> None:
    with pytest.raises(KleidiError) as caught:
        key_id.check(text)
    assert caught.value.fault is faults.KEY_ID_INVALID
    assert not text or text not in str(caught.value)


def test_the_digest_is_the_one_in_the_api_servers_metrics() -> None:
    assert key_hash.digest("kleidi") == "sha256:" + hashlib.sha256(b"kleidi").hexdigest()
