"""Our keys in a token: made, looked at, and known by their CKA_ID, which is written in hex."""

import re
from typing import Final

from softhsm.pkcs11.constants import Cka
from softhsm.pkcs11.errors import DeniedError, KeyGoneError, LostError
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.template import BIRTH, DEMANDED, GUARDS, KIND, WISHED, Value, encoded

_OBJECT_ID: Final = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_EVERYTHING: Final = DEMANDED | WISHED | BIRTH
_REFUSALS: Final = (DeniedError, LostError)


def identity(object_id: str) -> bytes:
    if not _OBJECT_ID.fullmatch(object_id):
        raise ValueError("an object id is up to 64 bytes in lower-case hex")
    return bytes.fromhex(object_id)


def find(session: Session, object_id: str) -> int:
    """The key's handle, when it is there and is one of ours; this asks much, so it is for its first use."""
    found = session.find(identity=identity(object_id))
    if len(found) != 1:
        raise KeyGoneError(f"{len(found)} objects have the id {object_id}")
    if wrong := _otherwise(session, found[0], KIND):
        raise KeyGoneError(f"object {object_id} is no AES-256 key to encrypt with: {', '.join(wrong)}")
    return found[0]


def make(session: Session, object_id: str, label: str) -> int:
    """A new key that stays in the token, as near to what is wished for as the token lets it be.

    Raises `DeniedError` where a key could leave the token. Leaves nothing behind when it fails.
    """
    named: dict[Cka, Value] = {Cka.ID: identity(object_id), Cka.LABEL: label.encode()}
    if session.find(identity=identity(object_id)):
        raise DeniedError(f"there is an object {object_id} already")
    key = _generated(session, DEMANDED | named)
    if wrong := _otherwise(session, key, (*GUARDS, *KIND)):
        session.destroy(key)
        raise DeniedError(f"the token makes keys with another {', '.join(wrong)} than was asked for")
    return key


def temporary(session: Session) -> int:
    """The same for this session alone."""
    return _generated(session, DEMANDED | {Cka.TOKEN: False})


def missing(session: Session, key: int) -> list[str]:
    """What is known to be otherwise than demanded or wished for; what the token does not say is no reason."""
    return _otherwise(session, key, tuple(_EVERYTHING))


def unknown(session: Session, key: int) -> list[str]:
    """What the token does not say of the key."""
    return [kind.name for kind in _EVERYTHING if _read(session, key, kind) is None]


def _otherwise(session: Session, key: int, kinds: tuple[Cka, ...]) -> list[str]:
    return [
        kind.name for kind in kinds if _read(session, key, kind) not in (None, encoded(_EVERYTHING[kind]))
    ]


def _read(session: Session, key: int, kind: Cka) -> bytes | None:
    wanted = _EVERYTHING[kind]
    if isinstance(wanted, bytes):
        return session.attribute(key, kind)
    raw = session.attribute(key, kind, len(encoded(wanted)))
    # Any byte but 0 is true.
    return encoded(raw != b"\0") if raw is not None and isinstance(wanted, bool) else raw


def _generated(session: Session, demanded: dict[Cka, Value]) -> int:
    """With all that is wished for, else with what can be had, else with what is demanded.

    Which attribute a token refuses, no answer says, so each is tried on a key for the session alone.
    """
    try:
        return session.generate(demanded | WISHED)
    except _REFUSALS:
        pass
    accepted: dict[Cka, Value] = {}
    for kind, value in WISHED.items():
        try:
            tried = session.generate(DEMANDED | {Cka.TOKEN: False} | accepted | {kind: value})
        except _REFUSALS:
            continue
        accepted[kind] = value
        session.destroy(tried)
    try:
        return session.generate(demanded | accepted)
    except _REFUSALS:
        return session.generate(demanded)
