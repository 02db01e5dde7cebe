"""The storage key that everything is sealed under: found by its Name, never by its place.

Either the one that the host keeps at 0x81000001, or a primary of a frozen template, made again each time: a
TPM derives the same key from the same template until its owner clears it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance.tpm.derivation import PublicKey
from appliance.tpm.errors import Code, TpmError, Trouble, kind
from appliance.tpm.wire import Command, Exchange, Reader, flush, plain, sized, u16, u32, with_password

PERSISTENT: Final = 0x81000001
_OWNER: Final = 0x40000001
_RSA, _ECC, _NULL, _AES, _CFB, _SHA256, _P256 = 0x01, 0x23, 0x10, 0x06, 0x43, 0x0B, 0x03
_NO_DA: Final = 0x400
# userWithAuth, restricted, decrypt: what a storage key that wants no policy must have.
_STORES: Final = 0x30040
_EXPONENT, _LEAST_BITS = 65537, 2048
# Never change a bit of it, or of the empty x and y: it would be another key, and every slot lost.
TEMPLATE: Final = (
    u16(_ECC) + u16(_SHA256) + u32(0x00030472) + sized(b"")
    + u16(_AES) + u16(128) + u16(_CFB) + u16(_NULL) + u16(_P256) + u16(_NULL) + sized(b"") + sized(b"")
)  # fmt: skip


@dataclass(frozen=True)
class Parent:
    handle: int
    name: bytes
    key: PublicKey
    # Without it each wrong guess at anything below counts, and so does each power cut: three of them lock it.
    counts_no_guesses: bool


def name_of(public: bytes) -> bytes:
    """An object's Name: its public area under the hash that all of ours have."""
    return u16(_SHA256) + sha256(public).digest()


@contextmanager
def primary(exchange: Exchange) -> Iterator[Parent]:
    """The key of our template, flushed at the end. Raises TpmError of OWNED for an owner with a password."""
    sensitive = sized(sized(b"") + sized(b""))
    nothing_more = sized(b"") + u32(0)
    answer = with_password(
        exchange, Command.CREATE_PRIMARY, _OWNER, sensitive + sized(TEMPLATE) + nothing_more
    )
    handle = answer.number(4)
    try:
        found = _parent(handle, Reader(answer.take(answer.number(4))).sized())
        if found is None:
            raise TpmError(Trouble.ANSWER, "it made another key than it was told to")
        yield found
    finally:
        with suppress(TpmError):
            flush(exchange, handle)


def persistent(exchange: Exchange) -> Parent | None:
    """The storage key of the host's, if there is one that can be used."""
    try:
        answer = plain(exchange, Command.READ_PUBLIC, u32(PERSISTENT))
    except TpmError as error:
        if kind(error.code) == Code.HANDLE:
            return None
        raise
    public = answer.sized()
    # Behind it its word for its Names; computed here, they cannot contradict it.
    return _parent(PERSISTENT, public)


@contextmanager
def named(exchange: Exchange, name: bytes) -> Iterator[Parent]:
    """The one of that Name, before anything is sent to it. Raises TpmError of OTHER."""
    found = persistent(exchange)
    if found is not None and found.name == name:
        yield found
        return
    with primary(exchange) as made:
        if made.name != name:
            raise TpmError(Trouble.OTHER)
        yield made


@contextmanager
def best(exchange: Exchange) -> Iterator[Parent]:
    """The one to seal under: the host's, or a primary where a few wrong guesses could lock the host's."""
    with ExitStack() as stack:
        yield _best(exchange, stack)


def _best(exchange: Exchange, stack: ExitStack) -> Parent:
    found = persistent(exchange)
    if found is not None and found.counts_no_guesses:
        return found
    try:
        return stack.enter_context(primary(exchange))
    except TpmError as error:
        if found is None or error.trouble is not Trouble.OWNED:
            raise
        return found


def _parent(handle: int, public: bytes) -> Parent | None:
    """A storage key of a sort that we can salt a session for, or None."""
    area = Reader(public)
    sort, name_hash, attributes = area.number(2), area.number(2), area.number(4)
    area.sized()
    if name_hash != _SHA256 or attributes & _STORES != _STORES or sort not in (_RSA, _ECC):
        return None
    if area.number(2) != _NULL:
        area.take(4)
    if area.number(2) != _NULL:
        return None
    key = _rsa(area) if sort == _RSA else _ecc(area)
    return None if key is None else Parent(handle, name_of(public), key, bool(attributes & _NO_DA))


def _ecc(area: Reader) -> ec.EllipticCurvePublicKey | None:
    curve, derivation = area.number(2), area.number(2)
    x, y = (int.from_bytes(area.sized(), "big") for _ in "xy")
    area.end()
    if curve != _P256 or derivation != _NULL:
        return None
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError as error:
        raise TpmError(Trouble.ANSWER, "its key is no point") from error


def _rsa(area: Reader) -> rsa.RSAPublicKey | None:
    bits, exponent = area.number(2), area.number(4) or _EXPONENT
    modulus = int.from_bytes(area.sized(), "big")
    area.end()
    if modulus.bit_length() != bits or bits < _LEAST_BITS:
        return None
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        return None
