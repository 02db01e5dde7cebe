"""RSA key pairs in a token: made, looked at, known by label and public key; the private half is asked."""

import secrets
from contextlib import suppress
from ctypes import byref
from dataclasses import dataclass
from typing import Final

from softhsm.pkcs11 import binding
from softhsm.pkcs11.constants import (
    CKK_RSA,
    CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKM_RSA_PKCS_OAEP,
    CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
    Cka,
)
from softhsm.pkcs11.errors import DeniedError, Pkcs11Error
from softhsm.pkcs11.layout import ULONG
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.shape import Shape
from softhsm.pkcs11.template import Value

_EXPONENT: Final = b"\x01\x00\x01"
_SIZES: Final = (3072, 2048)  # bits
_LEAST: Final = 2048
_PRIVATE: Final = Shape(
    {
        Cka.CLASS: CKO_PRIVATE_KEY,
        Cka.KEY_TYPE: CKK_RSA,
        Cka.TOKEN: True,
        Cka.PRIVATE: True,
        Cka.SENSITIVE: True,
        Cka.EXTRACTABLE: False,
        Cka.DECRYPT: True,
    },
    {
        Cka.SIGN: False,
        Cka.SIGN_RECOVER: False,
        Cka.UNWRAP: False,
        Cka.DERIVE: False,
        Cka.MODIFIABLE: False,
        Cka.COPYABLE: False,
        Cka.DESTROYABLE: True,
        Cka.ALLOWED_MECHANISMS: bytes(ULONG(CKM_RSA_PKCS_OAEP)),
    },
    (Cka.CLASS, Cka.KEY_TYPE, Cka.DECRYPT),
)
_PUBLIC: Final[dict[Cka, Value]] = {
    Cka.CLASS: CKO_PUBLIC_KEY,
    Cka.KEY_TYPE: CKK_RSA,
    Cka.TOKEN: True,
    Cka.PRIVATE: False,
    Cka.ENCRYPT: True,
    Cka.PUBLIC_EXPONENT: _EXPONENT,
}


@dataclass(frozen=True)
class Public:
    """The half that closes."""

    modulus: int
    exponent: int


@dataclass(frozen=True)
class Pair:
    """*handle* is the private key's, good for as long as the login."""

    handle: int
    public: Public


def find(session: Session, label: str) -> list[Pair]:
    """All that are called so and can decrypt; what tells no public key, or one too short, serves nobody."""
    handles = session.find(label=label, kind=CKO_PRIVATE_KEY)
    of_ours = [handle for handle in handles if not _PRIVATE.unlike(session, handle)]
    return [Pair(handle, public) for handle in of_ours if (public := _public(session, handle)) is not None]


def make(session: Session, slot: int, label: str, *, lasts: bool = True) -> Pair:
    """A new key pair, as near to what is wished for as the token lets it be. One that *lasts* is written.

    Raises `DeniedError` where the private key could leave the token. Leaves nothing behind when it fails.
    """
    identity = secrets.token_bytes(16)
    named: dict[Cka, Value] = {Cka.ID: identity, Cka.LABEL: label.encode(), Cka.TOKEN: lasts}
    outer = _PUBLIC | named | {Cka.MODULUS_BITS: _size(session, slot) if lasts else _LEAST}
    handles = _PRIVATE.made(lambda values: session.generate_pair(outer, values | named))
    handle = handles[1]
    wrong = [each for each in loose(session, handle) if lasts or each != Cka.TOKEN.name]
    public = _public(session, handle)
    if wrong or public is None:
        destroy(session, handles)
        what = f"with another {', '.join(wrong)} than was asked for" if wrong else "without a public key"
        raise DeniedError(f"the token makes key pairs {what}")
    return Pair(handle, public)


def loose(session: Session, handle: int) -> list[str]:
    """What lets the private key leave the token, or be used without a PIN."""
    return _PRIVATE.unguarded(session, handle)


def missing(session: Session, handle: int) -> list[str]:
    """What is known to be otherwise than was asked for."""
    return _PRIVATE.missing(session, handle)


def destroy(session: Session, handles: tuple[int, ...]) -> None:
    for handle in handles:
        with suppress(Pkcs11Error):
            session.destroy(handle)


def remove(session: Session, pair: Pair) -> None:
    """The private key, and the public one that bears its id. The session writes."""
    identity = session.attribute(pair.handle, Cka.ID)
    outer = session.find(identity=identity, kind=CKO_PUBLIC_KEY) if identity else []
    destroy(session, (pair.handle, *outer))


def _public(session: Session, handle: int) -> Public | None:
    """As the private key has it: a public one beside it may be anybody's."""
    modulus = session.attribute(handle, Cka.MODULUS)
    exponent = session.attribute(handle, Cka.PUBLIC_EXPONENT)
    if not modulus or not exponent:
        return None
    public = Public(int.from_bytes(modulus), int.from_bytes(exponent))
    sound = public.modulus % 2 and public.modulus.bit_length() >= _LEAST
    return public if sound and public.exponent % 2 and public.exponent > 1 else None


def _size(session: Session, slot: int) -> int:
    """The better size that the token says it makes; what it does not say is taken for the usual one."""
    info = binding.MechanismInfo()
    session.module.call("C_GetMechanismInfo", slot, CKM_RSA_PKCS_KEY_PAIR_GEN, byref(info))
    return next((size for size in _SIZES if size <= info.most), _SIZES[-1])
