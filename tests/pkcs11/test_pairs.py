"""What a token must do with a key pair for the slot `hsm`, whoever makes it; the fake does it too."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from appliance.pkcs11 import closing
from appliance.pkcs11.closing import Hash, Public
from softhsm.pkcs11 import pair
from softhsm.pkcs11.constants import CKM_RSA_PKCS_OAEP, CKM_SHA256, Cka
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import DeniedError, KeyGoneError, NoOaepError, TamperedError
from softhsm.pkcs11.key_pairs import KeyPairs
from softhsm.pkcs11.login import Login
from softhsm.pkcs11.session import Session
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Place

LABEL = "kleidi test pair"
PLAINTEXT = secrets.token_bytes(32)


class Made:
    """A key pair of 2048 bits, for NSS looks for the primes of a longer one for seconds."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.pairs = KeyPairs(device)
        self.public = self.pairs.make(LABEL)
        self.used = closing.best(self.public, partial(self.pairs.decrypt, LABEL, self.public))

    def close(self, plaintext: bytes = PLAINTEXT) -> bytes:
        return closing.close(self.public, self.used, plaintext)

    def open(self, ciphertext: bytes) -> bytes:
        return closing.opened(self.pairs, LABEL, self.public, self.used, ciphertext)

    def remove(self) -> None:
        def work(_: object, session: Session) -> None:
            for each in pair.find(session, LABEL):
                pair.remove(session, each)

        self.device.run(work, writes=True)


@pytest.fixture(scope="module")
def made(opener: Place) -> Iterator[Made]:
    device = opener.device()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pair, "_SIZES", (2048,))
        made = Made(device)
    yield made
    made.remove()
    device.close()


def test_it_opens_what_was_closed_to_it(made: Made) -> None:
    for size in (1, 32, 100):
        plaintext = secrets.token_bytes(size)
        assert made.open(made.close(plaintext)) == plaintext
    assert made.close() != made.close()


def test_the_hash_is_the_best_that_the_token_has(made: Made, opener: Place) -> None:
    wanted = {"nss": Hash.SHA256, "fake": Hash.SHA256}
    assert made.used is wanted.get(opener.name, made.used)


def test_it_is_as_it_was_asked_for(made: Made) -> None:
    assert made.pairs.called(LABEL) == [made.public]
    assert made.pairs.loose(LABEL, made.public) == []
    assert made.public.modulus.bit_length() == 2048
    wrong = made.device.run(lambda _, session: pair.missing(session, pair.find(session, LABEL)[0].handle))
    # NSS says of no key that it was made there.
    assert set(wrong) <= {"LOCAL"}


def test_what_was_not_closed_to_it_is_told_and_hurts_nobody(made: Made) -> None:
    whole, above = made.close(), b"\xff" * 256
    other = next(each for each in Hash if each is not made.used)
    changed = [bytes([*whole[:place], whole[place] ^ 1, *whole[place + 1 :]]) for place in (1, 100, 255)]
    cut = [b"", b"x", whole[:-1], whole + b"x", bytes(256), above]
    for ciphertext in (*changed, *cut, closing.close(made.public, other, PLAINTEXT)):
        with pytest.raises(TamperedError):
            made.open(ciphertext)
    assert made.open(whole) == PLAINTEXT


def test_another_pair_or_label_is_none_of_it(made: Made) -> None:
    other = Public(made.public.modulus + 2, made.public.exponent)
    for label, public in ((LABEL, other), ("another", made.public)):
        with pytest.raises(KeyGoneError):
            closing.opened(made.pairs, label, public, made.used, made.close())


def test_it_outlives_session_login_and_module(made: Made) -> None:
    ciphertext = made.close()
    for name in ("C_Logout", "C_CloseSession"):
        made.device.run(lambda login, session, name=name: login.module.code(name, session.handle))  # type: ignore[misc]
        assert made.open(ciphertext) == PLAINTEXT
    made.device.close()
    assert made.open(ciphertext) == PLAINTEXT


def test_threads_do_not_disturb_each_other(made: Made) -> None:
    def work(number: int) -> bool:
        plaintext = f"plaintext {number}".encode()
        return all(made.open(made.close(plaintext)) == plaintext for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_of_one_for_the_session_nothing_is_left(made: Made) -> None:
    def work(login: Login, session: Session) -> None:
        pair.remove(session, pair.make(session, login.token.slot, "kleidi check", lasts=False))

    made.device.run(work)
    assert made.pairs.called("kleidi check") == []
    assert made.pairs.called(LABEL) == [made.public]


@pytest.fixture
def fake() -> FakeToken:
    return FakeToken()


@pytest.fixture
def pairs(fake: FakeToken) -> Iterator[KeyPairs]:
    device = Place("fake", None, fake).device()
    yield KeyPairs(device)
    device.close()


def test_what_a_token_refuses_to_be_told_is_left_out(fake: FakeToken, pairs: KeyPairs) -> None:
    fake.refused_attributes = {Cka.MODIFIABLE, Cka.ALLOWED_MECHANISMS, Cka.DERIVE}
    public = pairs.make(LABEL)
    (private,) = fake.private_keys()
    assert not fake.refused_attributes & fake.objects[private].keys()
    assert pairs.called(LABEL) == [public]


@pytest.mark.parametrize(
    ("kind", "value"), [(Cka.EXTRACTABLE, b"\1"), (Cka.SENSITIVE, b"\0"), (Cka.PRIVATE, b"\0")]
)
def test_one_that_could_leave_the_token_is_not_made(
    fake: FakeToken, pairs: KeyPairs, kind: Cka, value: bytes
) -> None:
    keep = fake.keep
    fake.keep = lambda key, values: keep(key, values | {kind: value})  # type: ignore[method-assign]
    with pytest.raises(DeniedError, match=kind.name):
        pairs.make(LABEL)
    assert fake.objects == {}


def test_where_two_make_one_at_a_time_the_later_takes_his_away(fake: FakeToken, pairs: KeyPairs) -> None:
    first = pairs.make(LABEL)
    with pytest.raises(DeniedError, match="meanwhile"):
        pairs.make(LABEL)
    assert pairs.called(LABEL) == [first]
    assert len(fake.objects) == 2


def test_a_short_key_is_none(fake: FakeToken, pairs: KeyPairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "_SIZES", (1024,))
    with pytest.raises(DeniedError, match="without a public key"):
        pairs.make(LABEL)
    assert fake.objects == {}


def test_a_token_that_has_no_oaep_or_no_hash_is_told(fake: FakeToken, pairs: KeyPairs) -> None:
    public = pairs.make(LABEL)
    del fake.hashes[CKM_SHA256]
    assert closing.best(public, partial(pairs.decrypt, LABEL, public)) is Hash.SHA1
    fake.hashes.clear()
    with pytest.raises(NoOaepError, match=r"sha256: .*PARAM_INVALID; sha1: "):
        closing.best(public, partial(pairs.decrypt, LABEL, public))
    fake.lacks = {CKM_RSA_PKCS_OAEP}
    pairs.demand(makes=False)  # asked in this login already
    fake.logged_in = fake.initialized = False
    with pytest.raises(NoOaepError, match="CKM_RSA_PKCS_OAEP"):
        pairs.decrypt(LABEL, public, Hash.SHA1, bytes(256))
