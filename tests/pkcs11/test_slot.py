"""The slot `hsm` over real modules, and what it says when the device, its PIN or its key pair is not well."""

import secrets
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from appliance import faults
from appliance.engines.pkcs11.engine import Pkcs11Engine
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import EngineState
from appliance.pkcs11 import module_file
from appliance.pkcs11.options import Pkcs11Options
from appliance.slots.hsm import HsmEscrow
from softhsm.pkcs11 import device as devices
from softhsm.pkcs11 import pair
from softhsm.pkcs11.constants import CKM_AES_GCM, CKM_RSA_PKCS_OAEP, Cka, Ckr, TokenFlag
from softhsm.pkcs11.session import Session
from tests.pkcs11 import fake_token, places
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Place

LABEL = "kleidi-slot"
KEY = secrets.token_bytes(32)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """NSS looks for longer primes for seconds; and nobody waits to connect again."""
    monkeypatch.setattr(pair, "_SIZES", (2048,))
    monkeypatch.setattr(devices, "_PAUSES", (0,))


class Patched(FakeToken):
    """*passes*: modules that are files are loaded as ever."""

    passes = False


@pytest.fixture
def escrow(opener: Place, fake: Patched, options: Pkcs11Options) -> Iterator[HsmEscrow]:
    """Over every token that there is; its key pairs are gone behind the test."""
    if opener.fake is not None:
        yield HsmEscrow(options, LABEL)
        return
    fake.passes = True
    assert opener.options is not None
    yield HsmEscrow(opener.options, LABEL)
    removed(opener)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Patched:
    token, load = Patched(), module_file.load
    monkeypatch.setattr(
        module_file, "load", lambda options: load(options) if token.passes else token.functions
    )
    return token


@pytest.fixture
def options(tmp_path: Path) -> Pkcs11Options:
    pin = places.pin_file(tmp_path, fake_token.PIN.decode())
    return places.options(tmp_path / "fake.so", fake_token.LABEL, pin)


@pytest.fixture
def faked(fake: Patched, options: Pkcs11Options) -> HsmEscrow:
    assert not fake.passes
    return HsmEscrow(options, LABEL)


def removed(place: Place) -> None:
    def work(_: object, session: Session) -> None:
        for each in pair.find(session, LABEL):
            pair.remove(session, each)

    device = place.device()
    device.run(work, writes=True)
    device.close()


def refused(call: Callable[[], object]) -> Fault:
    with pytest.raises(KleidiError) as caught:
        call()
    return caught.value.fault


def test_what_was_deposited_is_released_and_known(escrow: HsmEscrow) -> None:
    escrow.ready()
    values = escrow.deposit(KEY)
    assert values.keys() == {"token", "key", "public", "hash", "escrow"}
    assert all(isinstance(each, str) for each in values.values())
    assert values["key"] == LABEL
    assert KEY.hex() not in str(values)
    assert escrow.release(values) == KEY
    assert escrow.knows(values)
    assert escrow.protection(values) == "hsm"
    escrow.ready()


def test_the_key_pair_that_there_is_serves_again(escrow: HsmEscrow) -> None:
    first, other = escrow.deposit(KEY), bytes(32)
    second = escrow.deposit(other)
    assert first["public"] == second["public"]
    assert first["escrow"] != second["escrow"]
    assert (escrow.release(first), escrow.release(second)) == (KEY, other)


def test_a_pair_that_is_gone_or_another_is_told(escrow: HsmEscrow, opener: Place, fake: Patched) -> None:
    values = escrow.deposit(KEY)
    fake.objects.clear()
    if opener.fake is None:
        removed(opener)
    assert not escrow.knows(values)
    assert refused(lambda: escrow.release(values)) is faults.SLOT_HSM_KEY
    assert escrow.deposit(KEY)["public"] != values["public"]
    assert not escrow.knows(values)
    assert refused(lambda: escrow.release(values)) is faults.SLOT_HSM_KEY


def test_a_token_of_another_name_is_not_taken_for_it(
    escrow: HsmEscrow, opener: Place, options: Pkcs11Options
) -> None:
    values = escrow.deposit(KEY)
    other = HsmEscrow(replace(opener.options or options, label="another"), LABEL)
    for call in (other.ready, lambda: other.deposit(KEY), lambda: other.release(values)):
        assert refused(call) is faults.SLOT_HSM_AWAY
    assert escrow.release(values) == KEY


def test_threads_do_not_disturb_each_other(escrow: HsmEscrow) -> None:
    values = [escrow.deposit(bytes([number]) * 32) for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        assert [each[0] for each in pool.map(escrow.release, values * 4)] == [0, 1, 2, 3] * 4


BAD: dict[str, list[object]] = {
    "token": ["", "x" * 256, "two\nlines", 7],
    "key": ["", "x" * 256, "\0", None],
    "public": ["", "zz" * 32, "ab" * 31, "ab" * 4096, 1],
    "hash": ["", "md5", "SHA1", 0],
    "escrow": ["", "not base64!", b64encode(bytes(1025)).decode(), "A" * (1 << 20), "ä"],
}


@pytest.mark.parametrize(("name", "value"), [(name, each) for name in BAD for each in BAD[name]])
def test_values_that_are_none_reach_no_device(
    faked: HsmEscrow, fake: Patched, name: str, value: object
) -> None:
    values = faked.deposit(KEY)
    fake.calls.clear()
    for call in (faked.release, faked.knows):
        assert refused(lambda call=call: call({**values, name: value})) is faults.SEAL_CORRUPT  # type: ignore[misc]
        assert refused(lambda call=call: call({k: v for k, v in values.items() if k != name})) is (  # type: ignore[misc]
            faults.SEAL_CORRUPT
        )
    assert not fake.calls


def test_what_is_not_closed_to_the_pair_is_told(escrow: HsmEscrow) -> None:
    values = escrow.deposit(KEY)
    for ciphertext in (b"x", bytes(256), b"\xff" * 256, secrets.token_bytes(256)):
        changed = {**values, "escrow": b64encode(ciphertext).decode()}
        assert refused(lambda changed=changed: escrow.release(changed)) is faults.SLOT_HSM_KEY  # type: ignore[misc]
    short = escrow.deposit(b"short")
    assert refused(lambda: escrow.release(short)) is faults.SEAL_CORRUPT
    assert escrow.release(values) == KEY


def test_of_two_pairs_the_right_one_opens_and_none_closes(faked: HsmEscrow, fake: Patched) -> None:
    values = faked.deposit(KEY)
    (mine,) = fake.private_keys()
    fake.keep(rsa.generate_private_key(65537, 2048), dict(fake.objects[mine]))
    for call in (faked.ready, lambda: faked.deposit(KEY)):
        assert refused(call) is faults.SLOT_HSM_KEY
    assert faked.release(values) == KEY


@pytest.mark.parametrize(
    ("kind", "value"), [(Cka.EXTRACTABLE, b"\1"), (Cka.SENSITIVE, b"\0"), (Cka.PRIVATE, b"\0")]
)
def test_a_pair_that_can_leave_the_device_closes_nothing(
    faked: HsmEscrow, fake: Patched, kind: Cka, value: bytes
) -> None:
    values = faked.deposit(KEY)
    (mine,) = fake.private_keys()
    fake.objects[mine][kind] = value
    for call in (faked.ready, lambda: faked.deposit(KEY)):
        assert refused(call) is faults.PKCS11_DENIED
    # What was closed before is not less open for being left closed.
    assert faked.release(values) == KEY


def test_a_wrong_pin_is_given_once(faked: HsmEscrow, options: Pkcs11Options, fake: Patched) -> None:
    values = faked.deposit(KEY)
    assert options.pin_file is not None
    options.pin_file.chmod(0o600)
    options.pin_file.write_text("654321\n")
    options.pin_file.chmod(0o400)
    fake.calls.clear()
    for call in (faked.ready, lambda: faked.deposit(KEY), lambda: faked.release(values)):
        assert refused(call) is faults.PKCS11_PIN
    assert fake.calls["C_Login"] == 1


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_LOCKED, TokenFlag.USER_PIN_FINAL_TRY])
def test_a_pin_that_one_try_would_lock_is_not_given(faked: HsmEscrow, fake: Patched, flag: TokenFlag) -> None:
    values = faked.deposit(KEY)
    fake.flags |= flag
    fake.calls.clear()
    assert refused(lambda: faked.release(values)) is faults.PKCS11_PIN_LOCKED
    assert fake.calls["C_Login"] == 0


def test_a_device_that_is_away_is_told_and_found_again(faked: HsmEscrow, fake: Patched) -> None:
    values = faked.deposit(KEY)
    fake.answers["C_Decrypt"] = [Ckr.DEVICE_REMOVED]
    assert refused(lambda: faked.release(values)) is faults.SLOT_HSM_AWAY
    fake.present = False
    for call in (faked.ready, lambda: faked.knows(values)):
        assert refused(call) is faults.SLOT_HSM_AWAY
    fake.present = True
    assert faked.release(values) == KEY


def test_a_device_that_hangs_is_not_waited_for(fake: Patched, options: Pkcs11Options) -> None:
    values = HsmEscrow(options, LABEL).deposit(KEY)
    impatient = HsmEscrow(options, LABEL, seconds=0.2)
    let_go = fake.hangs["C_Decrypt"] = Event()
    try:
        with pytest.raises(KleidiError, match="no answer within") as caught:
            impatient.release(values)
        assert caught.value.fault is faults.SLOT_HSM_AWAY
        assert fake.entered.is_set()
    finally:
        let_go.set()
    for thread in threading.enumerate():
        if thread.name in {"hsm-slot", "pkcs11-close"}:
            thread.join(20)
    assert impatient.release(values) == KEY


def test_a_library_that_loads_slowly_is_waited_for(
    fake: Patched, options: Pkcs11Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = threading.Event()

    def slowly(_: Pkcs11Options) -> object:
        loaded.wait(0.5)
        return fake.functions

    monkeypatch.setattr(module_file, "load", slowly)
    HsmEscrow(options, LABEL, seconds=0.1).ready()


def test_a_login_that_was_lost_looks_like_no_other_key(faked: HsmEscrow, fake: Patched) -> None:
    values = faked.deposit(KEY)
    fake.answers["C_Decrypt"] = [Ckr.GENERAL_ERROR]
    assert faked.release(values) == KEY


def test_a_token_without_oaep_or_without_pairs_is_told(faked: HsmEscrow, fake: Patched) -> None:
    fake.lacks = {CKM_RSA_PKCS_OAEP}
    assert refused(faked.ready) is faults.PKCS11_NO_OAEP
    fake.lacks = {0}  # CKM_RSA_PKCS_KEY_PAIR_GEN
    assert refused(faked.ready) is faults.PKCS11_NO_OAEP
    assert refused(lambda: faked.deposit(KEY)) is faults.PKCS11_NO_OAEP
    assert fake.objects == {}
    fake.lacks = {CKM_AES_GCM}
    assert faked.release(faked.deposit(KEY)) == KEY


def test_without_a_module_it_says_what_to_set() -> None:
    class Unset:
        pkcs11_module = pkcs11_pin_file = pkcs11_parameters = None
        pkcs11_names = ("", "")
        pkcs11_lanes, call_seconds, pkcs11_slot_key = 4, 2.5, LABEL

    assert refused(lambda: HsmEscrow.of(Unset())) is faults.PKCS11_UNSET


def test_the_engine_of_the_same_token_goes_on(real: Place, tmp_path: Path) -> None:
    """They share the library, which takes one C_Initialize and one login for a process."""
    assert real.options is not None
    engine, escrow = Pkcs11Engine(real.options), HsmEscrow(real.options, LABEL)
    made = engine.make(tmp_path, EngineState(), secrets.token_hex(16))
    engine.open(tmp_path, made.state)
    try:
        body = engine.wrap(made.object_id, b"plaintext", b"aad")
        values = escrow.deposit(KEY)
        assert engine.unwrap(made.object_id, body, b"aad") == b"plaintext"
        assert escrow.release(values) == KEY
        assert engine.unwrap(made.object_id, body, b"aad") == b"plaintext"
    finally:
        engine.open(tmp_path, engine.destroy(tmp_path, made.state, made.object_id))
        engine.inspect()
        engine.close()
        removed(real)


def test_openssl_closes_what_the_slot_opens(tmp_path: Path) -> None:
    """The values as the page has them, made by others: a key pair that was imported, and OpenSSL's OAEP."""
    pair_file, public, wanted = (tmp_path / name for name in ("pair.pem", "public.pem", "key"))
    key = rsa.generate_private_key(65537, 2048)
    pair_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    wanted.write_bytes(KEY)
    options = [
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha1",
        "-pkeyopt",
        "rsa_mgf1_md:sha1",
    ]
    closed = subprocess.run(
        ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-in", wanted, *options],
        check=True,
        capture_output=True,
    ).stdout
    with places.softhsm(tmp_path) as place:
        assert place.options is not None
        assert place.options.pin_file is not None
        pin = place.options.pin_file.read_text().strip()
        imported = ["--token", "kms", "--pin", pin, "--label", LABEL, "--id", "a1"]
        subprocess.run(["softhsm2-util", "--import", pair_file, *imported], check=True, capture_output=True)
        values = {
            "token": '"kms" serial 1',
            "key": LABEL,
            "public": sha256(der).hexdigest(),
            "hash": "sha1",
            "escrow": b64encode(closed).decode(),
        }
        escrow = HsmEscrow(place.options, LABEL)
        assert escrow.knows(values)
        assert escrow.release(values) == KEY
        assert escrow.deposit(KEY)["public"] == values["public"]
