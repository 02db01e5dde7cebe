"""Losing sessions, logins, modules and devices, and coming back: each rung once, and a PIN never twice."""

import random
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from softhsm.pkcs11 import device as devices
from softhsm.pkcs11 import key
from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.constants import Cka, Ckr, TokenFlag
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import (
    AwayError,
    DeniedError,
    ModuleError,
    PinError,
    PinLockedError,
    TamperedError,
    TokenError,
)
from softhsm.pkcs11.token import Wanted
from tests.pkcs11 import fake_token
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import SECONDS, Place, Secret

AAD = b"associated"


class Scene:
    """A fake with one key, in use."""

    def __init__(self, *, max_sessions: int = 0) -> None:
        self.fake = FakeToken(max_sessions=max_sessions)
        self.pin = Secret(fake_token.PIN)
        self.device = Device(
            self.fake.module(), Wanted(label=fake_token.LABEL), self.pin, lanes=4, seconds=SECONDS
        )
        self.cipher = Cipher(self.device)
        self.name = secrets.token_hex(16)
        self.device.run(lambda _, session: key.make(session, self.name, "kleidi test"), writes=True)
        self.body = self.cipher.encrypt(self.name, b"plaintext", AAD)
        self.fake.calls.clear()

    def works(self) -> bool:
        return self.cipher.decrypt(self.name, self.body, AAD) == b"plaintext"


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_PAUSES", (0,))


def test_a_session_that_ended_costs_no_call(scene: Scene) -> None:
    scene.fake.answers["C_DecryptInit"] = [Ckr.SESSION_HANDLE_INVALID]
    assert scene.works()
    assert scene.fake.calls["C_Login"] == scene.fake.calls["C_Initialize"] == 0


def test_a_login_that_ended_costs_no_call(scene: Scene) -> None:
    scene.fake.logged_in = False
    assert scene.works()
    assert (scene.fake.calls["C_Login"], scene.fake.calls["C_Initialize"]) == (1, 0)


def test_a_device_that_was_reset_costs_no_call(scene: Scene) -> None:
    scene.fake.lose_sessions()
    assert scene.works()
    assert (scene.fake.calls["C_Login"], scene.fake.calls["C_Initialize"]) == (1, 0)


def test_a_module_that_must_start_anew_costs_no_call(scene: Scene) -> None:
    # As p11-kit's client, whose server was started again: only C_Finalize and C_Initialize help.
    scene.fake.answers["C_OpenSession"] = [Ckr.DEVICE_ERROR, Ckr.DEVICE_ERROR]
    scene.fake.answers["C_DecryptInit"] = [Ckr.DEVICE_ERROR]
    assert scene.works()
    assert scene.fake.calls["C_Initialize"] == 1


@pytest.mark.parametrize("code", [Ckr.DEVICE_ERROR, Ckr.GENERAL_ERROR, 0x80000001])
def test_what_no_rung_mends_is_told_and_each_was_tried_once(scene: Scene, code: int) -> None:
    scene.fake.answers["C_DecryptInit"] = [code] * 100
    with pytest.raises(AwayError, match="C_DecryptInit"):
        scene.works()
    assert scene.fake.calls["C_DecryptInit"] == 4
    assert scene.fake.calls["C_Initialize"] == 1
    assert scene.fake.calls["C_Login"] == 2


def test_behind_a_failure_nobody_knocks_at_once(scene: Scene) -> None:
    scene.fake.present = False
    for _ in range(3):
        with pytest.raises(AwayError, match="DEVICE_REMOVED"):
            scene.works()
    assert scene.fake.calls["C_DecryptInit"] == 1
    assert scene.fake.calls["C_Initialize"] == 0


@pytest.mark.usefixtures("no_pauses")
def test_a_device_that_comes_back_is_found(scene: Scene) -> None:
    scene.fake.present = False
    with pytest.raises(AwayError, match="DEVICE_REMOVED"):
        scene.works()
    with pytest.raises(TokenError, match="there are: none"):
        scene.works()
    scene.fake.present = True
    assert scene.works()


def test_a_wrong_pin_is_tried_once_until_it_is_another(scene: Scene) -> None:
    scene.device.close()
    scene.pin.value = b"654321"
    for _ in range(5):
        with pytest.raises(PinError, match="PIN_INCORRECT"):
            scene.works()
    assert scene.fake.calls["C_Login"] == 1
    scene.pin.value = fake_token.PIN
    assert scene.works()
    assert scene.fake.calls["C_Login"] == 2


def test_a_pin_that_is_refused_in_the_midst_ends_the_ladder(scene: Scene) -> None:
    scene.fake.logged_in = False
    scene.pin.value = b"654321"
    for _ in range(3):
        with pytest.raises(PinError):
            scene.works()
    assert scene.fake.calls["C_Login"] == 1
    assert scene.fake.calls["C_Initialize"] == 0


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_the_last_try_is_not_ours(scene: Scene, flag: TokenFlag) -> None:
    scene.device.close()
    scene.fake.flags |= flag
    reads = scene.pin.reads
    with pytest.raises(PinLockedError):
        scene.works()
    assert scene.fake.calls["C_Login"] == 0
    assert scene.pin.reads == reads


def test_a_pin_of_a_size_that_the_token_does_not_take_is_not_sent(scene: Scene) -> None:
    scene.device.close()
    scene.pin.value = b"123456789"
    with pytest.raises(PinError, match="4 to 8 bytes"):
        scene.works()
    assert scene.fake.calls["C_Login"] == 0


def test_what_the_token_forbids_is_not_tried_again(scene: Scene) -> None:
    scene.fake.answers["C_DecryptInit"] = [Ckr.KEY_FUNCTION_NOT_PERMITTED]
    with pytest.raises(DeniedError):
        scene.works()
    assert scene.fake.calls["C_DecryptInit"] == 1
    assert scene.works()


def test_a_lost_login_that_looks_like_a_wrong_tag_is_no_wrong_tag(scene: Scene) -> None:
    # As kryoptic, logged out behind us: CKR_GENERAL_ERROR, for everything.
    scene.fake.answers["C_Decrypt"] = [Ckr.GENERAL_ERROR]
    scene.fake.answers["C_EncryptInit"] = [Ckr.GENERAL_ERROR]
    assert scene.works()


def test_a_wrong_tag_hurts_nobody_else(scene: Scene) -> None:
    for _ in range(3):
        with pytest.raises(TamperedError):
            scene.cipher.decrypt(scene.name, scene.body[:-1] + bytes([scene.body[-1] ^ 1]), AAD)
    assert scene.works()
    assert scene.fake.calls["C_Login"] == scene.fake.calls["C_Initialize"] == 0


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_few_sessions_are_enough(limit: int) -> None:
    scene = Scene(max_sessions=limit)
    assert scene.works()
    scene.fake.lose_sessions()
    assert scene.works()
    assert len(scene.fake.sessions) <= limit
    scene.device.run(lambda login, session: session.destroy(login.handle(session, scene.name)), writes=True)
    assert scene.fake.objects == {}


def test_sessions_that_others_took_are_waited_for_and_nothing_is_torn_down(scene: Scene) -> None:
    scene.fake.answers["C_DecryptInit"] = [Ckr.SESSION_HANDLE_INVALID]
    scene.fake.answers["C_OpenSession"] = [Ckr.SESSION_COUNT]
    with pytest.raises(AwayError, match="no session left"):
        scene.works()
    assert scene.works()
    assert scene.fake.calls["C_Initialize"] == 0


def test_a_module_that_draws_no_nonce_after_all_is_not_trusted() -> None:
    scene = Scene()
    scene.fake.draws = True
    name = secrets.token_hex(16)
    scene.device.run(lambda _, session: key.make(session, name, "kleidi test"), writes=True)
    assert scene.cipher.module_draws(name)
    scene.fake.draws = False
    with pytest.raises(AwayError, match="no nonce"):
        scene.cipher.encrypt(name, b"plaintext", AAD)


def test_wished_for_attributes_are_left_out_where_they_are_refused(scene: Scene) -> None:
    refused = {Cka.COPYABLE, Cka.ALLOWED_MECHANISMS}
    scene.fake.refused_attributes = refused
    name = secrets.token_hex(16)
    scene.device.run(lambda _, session: key.make(session, name, "kleidi test"), writes=True)
    unknown = scene.device.run(lambda login, session: key.unknown(session, login.handle(session, name)))
    assert sorted(unknown) == ["ALLOWED_MECHANISMS", "COPYABLE"]
    assert len(scene.fake.objects) == 2


def test_a_key_that_could_leave_the_token_is_not_made(scene: Scene) -> None:
    generate = scene.fake._generatekey  # noqa: SLF001

    def loose(session: int, mechanism: object, template: int, count: int, handle: object) -> int:
        code = generate(session, mechanism, template, count, handle)
        for made in scene.fake.objects.values():
            made[Cka.EXTRACTABLE] = b"\1"
        return code

    scene.fake._generatekey = loose  # type: ignore[assignment,method-assign]  # noqa: SLF001
    before = len(scene.fake.objects)
    with pytest.raises(DeniedError, match="EXTRACTABLE"):
        scene.device.run(
            lambda _, session: key.make(session, secrets.token_hex(16), "kleidi test"), writes=True
        )
    assert len(scene.fake.objects) == before


def test_a_module_that_somebody_else_uses_is_left_to_them() -> None:
    fake = FakeToken()
    fake.initialized = True
    wanted = Wanted(label=fake_token.LABEL)
    device = Device(fake.module(), wanted, Secret(fake_token.PIN), lanes=1, seconds=SECONDS)
    with pytest.raises(ModuleError, match="another part of this process"):
        device.token()
    assert fake.initialized


def test_real_modules_come_back_too(real: Place) -> None:
    """What the fake was told to do above, these do when they are used behind our back."""
    device = real.device()
    cipher, name = Cipher(device), secrets.token_hex(16)
    device.run(lambda _, session: key.make(session, name, "kleidi test"), writes=True)
    try:
        body = cipher.encrypt(name, b"plaintext", AAD)
        device.run(lambda login, session: login.module.code("C_Logout", session.handle))
        assert cipher.decrypt(name, body, AAD) == b"plaintext"
        device.run(lambda login, session: login.module.code("C_CloseSession", session.handle))
        assert cipher.decrypt(name, body, AAD) == b"plaintext"
        device.run(lambda login, _: login.module.code("C_Finalize", None))
        assert cipher.decrypt(name, body, AAD) == b"plaintext"
    finally:
        device.run(lambda login, session: session.destroy(login.handle(session, name)), writes=True)
        device.close()


@pytest.mark.usefixtures("no_pauses")
def test_whatever_goes_wrong_no_answer_is_wrong_and_it_ends_well(scene: Scene) -> None:
    """Eight threads, and somebody who pulls plugs: calls fail with a reason or give back what they took."""
    codes = [Ckr.SESSION_HANDLE_INVALID, Ckr.DEVICE_ERROR, Ckr.GENERAL_ERROR, Ckr.KEY_HANDLE_INVALID]
    functions = ["C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt", "C_OpenSession", "C_Login"]
    done = Event()

    def work(number: int) -> int:
        served = 0
        while not done.is_set():
            plaintext = f"plaintext {number}".encode()
            try:
                body = scene.cipher.encrypt(scene.name, plaintext, AAD)
                assert scene.cipher.decrypt(scene.name, body, AAD) == plaintext
            except (AwayError, TokenError):
                continue
            served += 1
        return served

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        dice = random.Random(7)  # noqa: S311  the same plugs each time
        for _ in range(300):
            match dice.randrange(4):
                case 0:
                    scene.fake.lose_sessions()
                case 1:
                    scene.fake.logged_in = False
                case 2:
                    scene.fake.answers[dice.choice(functions)] = [dice.choice(codes)]
                case _:
                    scene.fake.present = not scene.fake.present
            done.wait(0.005)
        scene.fake.present = True
        scene.fake.answers.clear()
        done.set()
        served = [each.result(60) for each in working]
    assert sum(served) > 0
    assert scene.works()
    scene.device.close()
    assert scene.fake.sessions == {}
