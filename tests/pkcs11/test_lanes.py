"""Calls that hang in C: other threads run, other lanes serve, and when all are taken it is told at once."""

import ctypes
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes import c_void_p, cast
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from appliance.engines.pkcs11.engine import Pkcs11Engine
from appliance.keys.engine import EngineState
from softhsm.pkcs11 import key
from softhsm.pkcs11.binding import PROTOTYPES, FunctionList, Functions
from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import AwayError
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.token import Wanted
from tests.pkcs11 import fake_token, places
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Secret

AAD = b"associated"
SHORT = 0.2  # seconds that a call may wait; those that hang do so until the test lets them go


class Hanging:
    """A fake with one key, and calls into it that do not come back until they are let go."""

    def __init__(self, lanes: int) -> None:
        self.fake = FakeToken()
        wanted = Wanted(label=fake_token.LABEL)
        self.device = Device(self.fake.module(), wanted, Secret(fake_token.PIN), lanes=lanes, seconds=SHORT)
        self.cipher = Cipher(self.device)
        self.name = secrets.token_hex(16)
        self.device.run(lambda _, session: key.make(session, self.name, "kleidi test"), writes=True)
        self.body = self.cipher.encrypt(self.name, b"plaintext", AAD)
        self.let_go = Event()
        self.ends: list[bytes | Exception] = []

    def hang(self, function: str) -> Thread:
        """A thread that is inside of *function* when this comes back."""
        self.fake.entered.clear()
        self.fake.hangs[function] = self.let_go
        thread = Thread(target=self._call)
        thread.start()
        assert self.fake.entered.wait(20)
        del self.fake.hangs[function]
        return thread

    def _call(self) -> None:
        try:
            self.ends.append(self.cipher.decrypt(self.name, self.body, AAD))
        except Exception as error:  # noqa: BLE001  it is looked at by the test
            self.ends.append(error)

    def works(self) -> bool:
        return self.cipher.decrypt(self.name, self.body, AAD) == b"plaintext"


@pytest.fixture
def scenes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def hanging(scenes: ExitStack, lanes: int, *functions: str) -> Hanging:
    scene = Hanging(lanes)
    threads = [scene.hang(function) for function in functions]

    def end() -> None:
        scene.let_go.set()
        for thread in threads:
            thread.join(20)

    scenes.callback(end)
    return scene


def test_python_goes_on_while_a_call_is_in_c() -> None:
    """read(2) stands in for a device that thinks, and only another thread can give it its answer."""
    reading, writing = os.pipe()
    names = {name: cast(PROTOTYPES["C_Finalize"](lambda _: 0), c_void_p) for name in PROTOTYPES}
    read = cast(ctypes.CDLL(None).read, c_void_p)
    module = Module(lambda: Functions(FunctionList(**{**names, "C_FindObjectsInit": read})))
    room = ctypes.create_string_buffer(1)
    answers: list[int] = []
    thread = Thread(
        target=lambda: answers.append(module.code("C_FindObjectsInit", reading, cast(room, c_void_p), 1))
    )
    thread.start()
    # Were the interpreter's lock held in there, nobody would come to write.
    os.write(writing, b"!")
    thread.join(20)
    os.close(reading)
    os.close(writing)
    assert (answers, room.raw) == ([1], b"!")


def test_one_that_hangs_holds_up_no_other(scenes: ExitStack) -> None:
    scene = hanging(scenes, 2, "C_Decrypt")
    assert all(scene.works() for _ in range(20))
    scene.let_go.set()


def test_when_all_hang_it_is_told(scenes: ExitStack) -> None:
    scene = hanging(scenes, 2, "C_Decrypt", "C_DecryptInit")
    with pytest.raises(AwayError, match="no lane"):
        scene.works()
    # By now they have been inside for longer than a call may take, and nobody waits for them any more.
    waited = threading.Event()
    assert not waited.wait(SHORT)
    with pytest.raises(AwayError, match=r"2 of 2 calls .* do not come back"):
        scene.works()


def test_those_that_come_back_are_served_and_so_are_the_next(scenes: ExitStack) -> None:
    scene = hanging(scenes, 1, "C_Decrypt")
    with pytest.raises(AwayError):
        scene.works()
    scene.let_go.set()
    scenes.close()
    assert scene.ends == [b"plaintext"]
    assert scene.works()


def test_a_module_with_somebody_inside_is_not_started_anew(scenes: ExitStack) -> None:
    scene = hanging(scenes, 2, "C_Decrypt")
    scene.fake.answers["C_DecryptInit"] = [5, 5, 5]
    scene.fake.answers["C_Login"] = [5]
    finalized = scene.fake.calls["C_Finalize"]
    with pytest.raises(AwayError, match="1 calls are in the module"):
        scene.works()
    assert scene.fake.calls["C_Finalize"] == finalized
    scene.let_go.set()


def test_a_login_that_hangs_is_told_to_the_others(scenes: ExitStack) -> None:
    scene = Hanging(4)
    scene.device.close()
    thread = scene.hang("C_Login")
    scenes.callback(thread.join, 20)
    scenes.callback(scene.let_go.set)
    for _ in range(2):
        with pytest.raises(AwayError, match="connecting to the token"):
            scene.works()
    scene.let_go.set()
    thread.join(20)
    assert scene.ends == [b"plaintext"]
    assert scene.works()


def test_closing_does_not_wait_for_what_hangs(scenes: ExitStack) -> None:
    scene = hanging(scenes, 2, "C_Decrypt")
    scene.device.close()
    assert scene.fake.initialized
    scene.let_go.set()
    scenes.close()
    scene.device.close()
    assert not scene.fake.initialized


def test_an_engine_is_closed_though_its_module_hangs(
    scenes: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeToken()
    monkeypatch.setattr("appliance.pkcs11.module_file.load", lambda _: fake.functions)
    pin = places.pin_file(tmp_path, fake_token.PIN.decode())
    options = replace(places.options(tmp_path / "fake.so", fake_token.LABEL, pin), call_seconds=SHORT)
    engine = Pkcs11Engine(options)
    made = engine.make(tmp_path, EngineState(), secrets.token_hex(16))
    engine.open(tmp_path, made.state)
    body = engine.wrap(made.object_id, b"plaintext", AAD)
    let_go = fake.hangs["C_Finalize"] = Event()
    scenes.callback(let_go.set)
    engine.close()
    assert fake.initialized
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "pkcs11-close":
            thread.join(20)
    engine.open(tmp_path, made.state)
    assert engine.unwrap(made.object_id, body, AAD) == b"plaintext"
    engine.close()
