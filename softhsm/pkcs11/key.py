"""Our keys in a token: made, looked at, and known by their CKA_ID, which is written in hex."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from softhsm.pkcs11.constants import Cka, Ckr
from softhsm.pkcs11.errors import DeniedError, KeyGoneError, LostError
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.template import BIRTH, DEMANDED, GUARDS, KIND, RARE, WISHED, Value, encoded

_OBJECT_ID: Final = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_EVERYTHING: Final = DEMANDED | WISHED | BIRTH
# NSS says no more than this of an attribute that it does not know.
_REFUSALS: Final = (Ckr.FUNCTION_FAILED, Ckr.GENERAL_ERROR)


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
    """With as much of what is wished for as the token takes: which attribute it refuses, no answer says."""
    for wished in _wishes():
        try:
            return session.generate(demanded | {kind: WISHED[kind] for kind in wished})
        except DeniedError:
            continue
        except LostError as error:
            if error.code not in _REFUSALS:
                raise
    return session.generate(demanded)


def _wishes() -> Iterator[tuple[Cka, ...]]:
    """The most first. What one token or another was seen to refuse is left out in every combination."""
    usual = tuple(kind for kind in WISHED if kind not in RARE)
    for number in range(len(RARE), -1, -1):
        yield from ((*usual, *some) for some in combinations(RARE, number))
    yield tuple(kind for kind in usual if kind is not Cka.DERIVE)
