"""A PKCS#11 module of Python callbacks, at the seam where a vendor's has its list of functions.

It passes the contract that SoftHSM and NSS pass (`test_contract.py`), and on request does what they never do:
it draws its own nonces, loses sessions, fails with any code, hangs.
"""

import ctypes
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_void_p, cast
from functools import partial
from threading import Event
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from softhsm.pkcs11.binding import PROTOTYPES, FunctionList, Functions
from softhsm.pkcs11.constants import (
    CKF_RW_SESSION,
    CKM_RSA_PKCS_OAEP,
    CKM_SHA256,
    CKM_SHA_1,
    CKO_PRIVATE_KEY,
    Cka,
    Ckr,
    TokenFlag,
)
from softhsm.pkcs11.layout import ULONG, Attribute, GcmParameters, OaepParameters
from softhsm.pkcs11.module import Module

PIN = b"123456"
LABEL, SERIAL = "fake", "f00d"


class FakeToken:
    """*answers* are codes that a function gives next, CKR_OK for its own; *hangs* what it waits for first."""

    def __init__(self, *, draws: bool = False, max_sessions: int = 0) -> None:
        self.draws = draws
        self.max_sessions = max_sessions
        self.flags = TokenFlag.LOGIN_REQUIRED
        self.refused_attributes: set[Cka] = set()
        self.lacks: set[int] = set()  # mechanisms
        self.hashes = {CKM_SHA_1: SHA1, CKM_SHA256: SHA256}
        self.pairs: dict[int, RSAPrivateKey] = {}
        self.answers: dict[str, Sequence[int]] = defaultdict(list)
        self.hangs: dict[str, Event] = {}
        self.entered = Event()
        self.calls: Counter[str] = Counter()
        self.initialized = self.logged_in = self.present = False
        self.present = True
        self.sessions: dict[int, dict[str, Any]] = {}
        self.objects: dict[int, dict[int, bytes]] = {}
        self._last = 0
        # ctypes keeps no callback alive.
        self._callbacks = {name: kind(partial(self._answered, name)) for name, kind in PROTOTYPES.items()}
        pointers = {name: cast(callback, c_void_p) for name, callback in self._callbacks.items()}
        self.functions = Functions(FunctionList(**pointers))

    def module(self) -> Module:
        return Module(lambda: self.functions)

    def lose_sessions(self) -> None:
        """As after a reset of the device."""
        self.sessions.clear()
        self.logged_in = False

    def _answered(self, name: str, *arguments: Any) -> int:  # noqa: ANN401
        self.calls[name] += 1
        if name in self.hangs:
            self.entered.set()
            self.hangs[name].wait()
        if self.answers[name]:
            code, *self.answers[name] = self.answers[name]
            if code != Ckr.OK:
                return code
        if not self.initialized and name != "C_Initialize":
            return Ckr.CRYPTOKI_NOT_INITIALIZED
        if not self.present and name not in {"C_Initialize", "C_Finalize", "C_GetSlotList"}:
            return Ckr.DEVICE_REMOVED
        function: Callable[..., int | None] = getattr(self, f"_{name[2:].lower()}")
        try:
            return function(*arguments) or Ckr.OK
        except KeyError:
            # It was lost while the call was in here.
            return Ckr.SESSION_HANDLE_INVALID

    def _initialize(self, _: int) -> int:
        if self.initialized:
            return Ckr.CRYPTOKI_ALREADY_INITIALIZED
        self.initialized, self._last = True, 0
        return Ckr.OK

    def _finalize(self, _: int) -> None:
        self.initialized = False
        self.lose_sessions()
        self.objects = {key: value for key, value in self.objects.items() if value[Cka.TOKEN] == b"\1"}

    def _getinfo(self, info: Any) -> None:  # noqa: ANN401
        _write(info.contents.about, b"Fake")

    def _getslotlist(self, _: int, found: int, count: Any) -> None:  # noqa: ANN401
        if found and self.present:
            ULONG.from_address(found).value = 7
        count.contents.value = int(self.present)

    def _gettokeninfo(self, _: int, info: Any) -> None:  # noqa: ANN401
        token = info.contents
        _write(token.label, LABEL.encode())
        _write(token.serial, SERIAL.encode())
        _write(token.model, b"callbacks")
        token.flags, token.max_sessions, token.min_pin, token.max_pin = self.flags, self.max_sessions, 4, 8

    def _getmechanisminfo(self, _: int, kind: int, info: Any) -> int:  # noqa: ANN401
        info.contents.flags, info.contents.most = 0xFFFFFF, 2048
        return Ckr.MECHANISM_INVALID if kind in self.lacks else Ckr.OK

    def _opensession(self, _: int, flags: int, *rest: Any) -> int:  # noqa: ANN401
        if self.max_sessions and len(self.sessions) >= self.max_sessions:
            return Ckr.SESSION_COUNT
        self._last += 1
        self.sessions[self._last] = {"writes": bool(flags & CKF_RW_SESSION)}
        rest[-1].contents.value = self._last
        return Ckr.OK

    def _closesession(self, session: int) -> int:
        if self.sessions.pop(session, None) is None:
            return Ckr.SESSION_HANDLE_INVALID
        self.logged_in &= bool(self.sessions)
        return Ckr.OK

    def _getsessioninfo(self, session: int, info: Any) -> int:  # noqa: ANN401
        info.contents.state = int(self.logged_in)
        return Ckr.OK if session in self.sessions else Ckr.SESSION_HANDLE_INVALID

    def _login(self, session: int, _: int, pin: int, size: int) -> int:
        if session not in self.sessions:
            return Ckr.SESSION_HANDLE_INVALID
        if self.logged_in:
            return Ckr.USER_ALREADY_LOGGED_IN
        if ctypes.string_at(pin, size) != PIN:
            return Ckr.PIN_INCORRECT
        self.logged_in = True
        return Ckr.OK

    def _logout(self, _: int) -> None:
        self.logged_in = False

    def _generatekey(self, session: int, _: Any, template: int, count: int, handle: Any) -> int:  # noqa: ANN401
        values = _values(template, count)
        if why := self._why_not(session, values):
            return why
        handle.contents.value = self._born(values | {_VALUE: secrets.token_bytes(32)})
        return Ckr.OK

    def _generatekeypair(self, session: int, _: Any, *rest: Any) -> int:  # noqa: ANN401
        outer, inner = _values(*rest[:2]), _values(*rest[2:4])
        if why := self._why_not(session, inner):
            return why
        size = ULONG.from_buffer_copy(outer[Cka.MODULUS_BITS]).value
        private = self.keep(rsa.generate_private_key(65537, size), inner)
        rest[4].contents.value, rest[5].contents.value = self._born(outer), private
        return Ckr.OK

    def keep(self, key: RSAPrivateKey, values: dict[int, bytes]) -> int:
        """The private half of a pair, as an object."""
        numbers = key.public_key().public_numbers()
        told = {Cka.MODULUS: numbers.n.to_bytes(key.key_size // 8), Cka.PUBLIC_EXPONENT: b"\1\0\1"}
        handle = self._born(values | told)
        self.pairs[handle] = key
        return handle

    def private_keys(self) -> list[int]:
        wanted = bytes(ULONG(CKO_PRIVATE_KEY))
        return [handle for handle, values in self.objects.items() if values[Cka.CLASS] == wanted]

    def _why_not(self, session: int, values: dict[int, bytes]) -> int:
        if session not in self.sessions:
            return Ckr.SESSION_HANDLE_INVALID
        if self.refused_attributes & values.keys():
            return Ckr.ATTRIBUTE_TYPE_INVALID
        if values[Cka.TOKEN] == b"\1" and not self.sessions[session]["writes"]:
            return Ckr.SESSION_READ_ONLY
        return Ckr.OK

    def _born(self, values: dict[int, bytes]) -> int:
        key = 1000 + len(self.objects) + secrets.randbelow(1 << 20)
        self.objects[key] = values | {Cka.LOCAL: b"\1", Cka.NEVER_EXTRACTABLE: b"\1"}
        return key

    def _destroyobject(self, _: int, key: int) -> int:
        return Ckr.OK if self.objects.pop(key, None) else Ckr.OBJECT_HANDLE_INVALID

    def _getattributevalue(self, _: int, key: int, row: Any, __: int) -> int:  # noqa: ANN401
        value = self.objects[key].get(row.contents.type)
        if value is None:
            return Ckr.ATTRIBUTE_TYPE_INVALID
        ctypes.memmove(row.contents.value, value, len(value))
        row.contents.size = len(value)
        return Ckr.OK

    def _findobjectsinit(self, session: int, template: int, count: int) -> int:
        if session not in self.sessions:
            return Ckr.SESSION_HANDLE_INVALID
        wanted = _values(template, count).items()
        fits = [key for key, has in self.objects.items() if wanted <= has.items() and self.logged_in]
        self.sessions[session]["found"] = fits
        return Ckr.OK

    def _findobjects(self, session: int, found: int, most: int, count: Any) -> None:  # noqa: ANN401
        left = self.sessions[session]["found"]
        taken, self.sessions[session]["found"] = left[:most], left[most:]
        for number, key in enumerate(taken):
            ULONG.from_address(found + number * ctypes.sizeof(ULONG)).value = key
        count.contents.value = len(taken)

    def _findobjectsfinal(self, _: int) -> None:
        """Nothing was kept."""

    def _encryptinit(self, session: int, mechanism: Any, key: int) -> int:  # noqa: ANN401
        if session not in self.sessions:
            return Ckr.SESSION_HANDLE_INVALID
        if key not in self.objects or not self.logged_in:
            return Ckr.KEY_HANDLE_INVALID
        parameters = cast(mechanism.contents.parameter, POINTER(GcmParameters)).contents
        self.sessions[session]["gcm"] = parameters, AESGCM(self.objects[key][_VALUE])
        return Ckr.OK

    def _decryptinit(self, session: int, mechanism: Any, key: int) -> int:  # noqa: ANN401
        if mechanism.contents.type != CKM_RSA_PKCS_OAEP or session not in self.sessions:
            return self._encryptinit(session, mechanism, key)
        if key not in self.objects or not self.logged_in:
            return Ckr.KEY_HANDLE_INVALID
        used = cast(mechanism.contents.parameter, POINTER(OaepParameters)).contents.hash
        if used not in self.hashes:
            return Ckr.MECHANISM_PARAM_INVALID
        algorithm = self.hashes[used]
        self.sessions[session]["oaep"] = self.pairs[key], OAEP(MGF1(algorithm()), algorithm(), None)
        return Ckr.OK

    def _encrypt(self, session: int, data: int, size: int, out: int, room: Any) -> None:  # noqa: ANN401
        gcm, cipher = self.sessions[session].pop("gcm")
        if self.draws:
            ctypes.memmove(gcm.iv, secrets.token_bytes(12), 12)
        nonce, aad = ctypes.string_at(gcm.iv, 12), ctypes.string_at(gcm.aad, gcm.aad_size)
        _give(cipher.encrypt(nonce, ctypes.string_at(data, size), aad), out, room)

    def _decrypt(self, session: int, data: int, size: int, out: int, room: Any) -> int:  # noqa: ANN401
        if "oaep" in self.sessions[session]:
            pair, padding = self.sessions[session].pop("oaep")
            try:
                _give(pair.decrypt(ctypes.string_at(data, size), padding), out, room)
            except ValueError:
                return Ckr.ENCRYPTED_DATA_INVALID
            return Ckr.OK
        gcm, cipher = self.sessions[session].pop("gcm")
        nonce, aad = ctypes.string_at(gcm.iv, 12), ctypes.string_at(gcm.aad, gcm.aad_size)
        try:
            _give(cipher.decrypt(nonce, ctypes.string_at(data, size), aad), out, room)
        except InvalidTag:
            return Ckr.ENCRYPTED_DATA_INVALID
        return Ckr.OK


_VALUE = 0x11  # CKA_VALUE, which is never asked for


def _values(template: int, count: int) -> dict[int, bytes]:
    rows = cast(template, POINTER(Attribute))
    return {rows[n].type: ctypes.string_at(rows[n].value, rows[n].size) for n in range(count)}


def _write(field: Any, text: bytes) -> None:  # noqa: ANN401
    field[:] = text.ljust(len(field))


def _give(data: bytes, out: int, room: Any) -> None:  # noqa: ANN401
    ctypes.memmove(out, data, len(data))
    room.contents.value = len(data)
