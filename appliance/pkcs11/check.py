"""What a token can do for us, tried on keys that last as long as their session: the device keeps nothing.

It may hold the engine's keys, open a slot, do both or neither. A step that fails ends what stands upon it;
what was seen is told all the same. The PIN is given once, and not at all where one wrong try would lock it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from appliance import faults
from appliance.faults import Exit, Fault
from appliance.pkcs11 import closing, module_file, words
from appliance.pkcs11.checked import Checked, Finding
from appliance.pkcs11.options import Pkcs11Options
from appliance.pkcs11.pin_file import PinFile
from softhsm.pkcs11 import errors, key, oaep, pair
from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.cipher import draws_nonces
from softhsm.pkcs11.constants import TokenFlag
from softhsm.pkcs11.gcm import NONCE_SIZE
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.pin import PinGuard
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Token, Wanted

_PLAINTEXT: Final = b"kleidi hsm check"


@dataclass
class _Seen:
    library: str = ""
    token: Token | None = None
    login: bool = False
    serves: list[str] = field(default_factory=list)
    nonces: str = "none"
    oaep: str = "none"
    loose: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    findings: dict[Fault, str] = field(default_factory=dict)


def check(options: Pkcs11Options) -> Checked:
    """May take as long as the module does; what is wrong stands in the answer."""
    seen = _Seen()
    with _told(seen):
        _look(options, seen)
    token = seen.token
    worst = [each.exit for each in seen.findings if each.exit is not Exit.DEGRADED]
    # Which serves for one thing alone is no failure: whoever asks may want no other.
    worst = [] if seen.serves else worst
    return Checked(
        exit=int(worst[-1] if worst else Exit.DEGRADED if seen.findings else Exit.OK),
        module=str(options.module),
        library=seen.library,
        serial=token.serial if token else "",
        label=token.label if token else "",
        model=token.model if token else "",
        max_sessions=token.max_sessions if token else 0,
        login=seen.login,
        serves=seen.serves,
        nonces=seen.nonces,
        oaep=seen.oaep,
        loose=seen.loose,
        unknown=seen.unknown,
        findings=[Finding(each.id, each.sentence, each.remedy, told) for each, told in seen.findings.items()],
    )


def _look(options: Pkcs11Options, seen: _Seen) -> None:
    module = Module(lambda: module_file.load(options), options.parameters)
    module.initialize()
    try:
        seen.library = module.about()
        token = seen.token = tokens.find(module, Wanted(options.serial, options.label))
        seen.findings |= words.warnings(token)
        with _opened(module, token) as session:
            if token.flags & TokenFlag.LOGIN_REQUIRED:
                pin = PinFile(options.pin_file) if options.pin_file else None
                PinGuard(pin).log_in(session, token)
            seen.login = True
            for use in (_try_key, _try_pair):
                with _told(seen):
                    use(session, token, seen)
    finally:
        module.finalize()


@contextmanager
def _opened(module: Module, token: Token) -> Iterator[Session]:
    session = Session(module, token.slot)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _told(seen: _Seen) -> Iterator[None]:
    try:
        yield
    except errors.Pkcs11Error as error:
        seen.findings[words.fault(error)] = str(error)


def _try_key(session: Session, token: Token, seen: _Seen) -> None:
    tokens.demand_gcm(session.module, token)
    handle = key.temporary(session)
    try:
        # It is meant to go.
        _loosened(seen, [name for name in key.missing(session, handle) if name != "TOKEN"])
        seen.unknown = key.unknown(session, handle)
        draws = draws_nonces(session, handle)
        _round_trip(session, handle, bytes(NONCE_SIZE) if draws else os.urandom(NONCE_SIZE))
        seen.nonces = "module" if draws else "ours"
        seen.serves.append("engine")
    finally:
        with suppress(errors.Pkcs11Error):
            session.destroy(handle)


def _try_pair(session: Session, token: Token, seen: _Seen) -> None:
    tokens.demand_oaep(session.module, token)
    tokens.demand_pairs(session.module, token)
    made = pair.make(session, token.slot, "kleidi hsm check", lasts=False)
    try:
        decrypt = partial(oaep.decrypt, session.module, session.handle, made.handle)
        loose = pair.missing(session, made.handle)
        _loosened(seen, [name for name in loose if name not in {"TOKEN", *seen.loose}])
        seen.oaep = closing.best(made.public, decrypt).value
        seen.serves.append("slot")
    finally:
        pair.remove(session, made)


def _loosened(seen: _Seen, names: list[str]) -> None:
    seen.loose += names
    if seen.loose:
        seen.findings[faults.PKCS11_KEY_LOOSE] = ", ".join(seen.loose)


def _round_trip(session: Session, handle: int, nonce: bytes) -> None:
    aad = b"associated"
    used, ciphertext = session.encrypt(handle, nonce, _PLAINTEXT, aad)
    if session.decrypt(handle, used, ciphertext, aad) != _PLAINTEXT:
        raise errors.NoGcmError("AES-GCM does not give back what it took")
    try:
        session.decrypt(handle, used, ciphertext, b"Associated")
    except errors.SuspectError:
        return
    raise errors.NoGcmError("AES-GCM takes associated data that are not those it was given")
