"""Ours and everybody's: the stock `age` opens what we make, and we open what it makes."""

import textwrap
from base64 import b64encode
from pathlib import Path

import pyrage
import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.age.passphrase import WORK_FACTOR, Passphrase, is_under_passphrase
from appliance.backup.bundle import make, open_bundle
from appliance.volume.seal import Header
from tests.backup import age
from tests.volume.house import LINEAGE, PAYLOAD, refused

SECRET = "correct horse battery"  # noqa: S105  a test's
CHUNK = 64 * 1024


def test_age_opens_ours(identity: Identities, tmp_path: Path) -> None:
    bundle = make(PAYLOAD, Header(LINEAGE, 1), identity.recipients)
    assert age.decrypt(bundle, identity, tmp_path) == identity.decrypt(bundle)


def test_we_open_what_age_made(identity: Identities) -> None:
    content = identity.decrypt(make(PAYLOAD, Header(LINEAGE, 1), identity.recipients))
    assert open_bundle(age.encrypt(content, identity), identity) == (Header(LINEAGE, 1), PAYLOAD)


def test_armor_is_looked_through(identity: Identities) -> None:
    assert identity.decrypt(age.encrypt(b"content", identity, "--armor")) == b"content"


def test_armor_hides_no_work_factor() -> None:
    lines = textwrap.wrap(b64encode(Passphrase(SECRET).encrypt(b"content")).decode(), 64)
    frame = "-----{} AGE ENCRYPTED FILE-----".format
    armored = "\n".join([frame("BEGIN"), *lines, frame("END"), ""]).encode()
    assert is_under_passphrase(armored)
    assert Passphrase(SECRET).decrypt(armored) == b"content"


# The last chunk is marked, and empty only when everything is.
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_pyrage_opens_what_we_wrote_under_a_passphrase(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    sealed = Passphrase(SECRET).encrypt(content[:size])
    assert pyrage.passphrase.decrypt(sealed, SECRET) == content[:size]


def test_age_opens_what_we_wrote_under_a_passphrase(tmp_path: Path) -> None:
    content, sealed = tmp_path / "content", tmp_path / "sealed.age"
    sealed.write_bytes(Passphrase(SECRET).encrypt(b"x" * (CHUNK + 1)))
    age.with_passphrase(["--decrypt", "--output", str(content), str(sealed)], SECRET)
    assert content.read_bytes() == b"x" * (CHUNK + 1)


def test_we_open_what_age_wrote_under_a_passphrase(tmp_path: Path) -> None:
    content, sealed = tmp_path / "content", tmp_path / "sealed.age"
    content.write_bytes(b"content")
    age.with_passphrase(["--passphrase", "--output", str(sealed), str(content)], SECRET)
    assert b" 18\n" in sealed.read_bytes()[:100]
    assert Passphrase(SECRET).decrypt(sealed.read_bytes()) == b"content"


def test_it_says_itself_that_it_wants_a_passphrase(identity: Identities) -> None:
    sealed = Passphrase(SECRET).encrypt(b"content")
    assert is_under_passphrase(sealed)
    assert sealed.splitlines()[1].endswith(b" %d" % WORK_FACTOR)
    assert not is_under_passphrase(identity.recipients.encrypt(b"content"))


def test_the_wrong_passphrase_opens_nothing(identity: Identities) -> None:
    sealed = Passphrase(SECRET).encrypt(b"content")
    assert refused(lambda: Passphrase(SECRET + " ").decrypt(sealed)) is faults.BACKUP_KEY_WRONG
    assert refused(lambda: identity.decrypt(sealed)) is faults.BACKUP_KEY_WRONG
    for_key = identity.recipients.encrypt(b"content")
    assert refused(lambda: Passphrase(SECRET).decrypt(for_key)) is faults.BACKUP_KEY_WRONG


def test_changed_or_cut_it_is_refused() -> None:
    sealed = Passphrase(SECRET).encrypt(b"content")
    for data in (sealed[:-1], sealed + b"\n", sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:60]):
        assert refused(lambda data=data: Passphrase(SECRET).decrypt(data)) is faults.BACKUP_CORRUPT  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "short", "eleven char"])
def test_a_short_passphrase_closes_nothing(text: str) -> None:
    assert refused(lambda: Passphrase(text).encrypt(b"content")) is faults.BACKUP_PASSPHRASE


def test_no_passphrase_is_shown() -> None:
    assert SECRET not in repr(Passphrase(SECRET))
