"""Our keys in a token: made, looked at, and known by their CKA_ID, which is written in hex."""

import re
from typing import Final

from softhsm.pkcs11.constants import Cka
from softhsm.pkcs11.errors import DeniedError, KeyGoneError
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.shape import Shape
from softhsm.pkcs11.template import DEMANDED, KIND, WISHED, Value

_OBJECT_ID: Final = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_SHAPE: Final = Shape(DEMANDED, WISHED, KIND)


def identity(object_id: str) -> bytes:
    if not _OBJECT_ID.fullmatch(object_id):
        raise ValueError("an object id is up to 64 bytes in lower-case hex")
    return bytes.fromhex(object_id)


def find(session: Session, object_id: str) -> int:
    """The key's handle, when it is there and is one of ours; this asks much, so it is for its first use."""
    found = session.find(identity=identity(object_id))
    if len(found) != 1:
        raise KeyGoneError(f"{len(found)} objects have the id {object_id}")
    if wrong := _SHAPE.unlike(session, found[0]):
        raise KeyGoneError(f"object {object_id} is no AES-256 key to encrypt with: {', '.join(wrong)}")
    return found[0]


def make(session: Session, object_id: str, label: str) -> int:
    """A new key that stays in the token, as near to what is wished for as the token lets it be.

    Raises `DeniedError` where a key could leave the token. Leaves nothing behind when it fails.
    """
    named: dict[Cka, Value] = {Cka.ID: identity(object_id), Cka.LABEL: label.encode()}
    if session.find(identity=identity(object_id)):
        raise DeniedError(f"there is an object {object_id} already")
    key = _SHAPE.made(lambda values: session.generate(values | named))
    if wrong := [*_SHAPE.unguarded(session, key), *_SHAPE.unlike(session, key)]:
        session.destroy(key)
        raise DeniedError(f"the token makes keys with another {', '.join(wrong)} than was asked for")
    return key


def temporary(session: Session) -> int:
    """The same for this session alone."""
    return _SHAPE.made(lambda values: session.generate(values | {Cka.TOKEN: False}))


def missing(session: Session, key: int) -> list[str]:
    """What is known to be otherwise than demanded or wished for; what the token does not say is no reason."""
    return _SHAPE.missing(session, key)


def unknown(session: Session, key: int) -> list[str]:
    """What the token does not say of the key."""
    return _SHAPE.unknown(session, key)
