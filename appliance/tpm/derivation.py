"""What both ends of a session compute alike: the salt, keys from it, a key stream (part 1, 11.4 and C.6)."""

import hmac
import secrets
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256

from appliance.tpm.wire import sized, u32

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_BITS: Final = 256
_BLOCK: Final = 16
_COORDINATE: Final = 32
_LABEL: Final = b"SECRET\0"


def kdfa(key: bytes, label: bytes, one: bytes, other: bytes) -> bytes:
    """256 bits: one round of SP 800-108 with HMAC-SHA256."""
    return hmac.digest(key, u32(1) + label + b"\0" + one + other + u32(_BITS), "sha256")


def salted(public: PublicKey) -> tuple[bytes, bytes]:
    """A fresh salt, and that salt as only the holder of *public*'s other half can read it."""
    if isinstance(public, rsa.RSAPublicKey):
        salt = secrets.token_bytes(_COORDINATE)
        oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), _LABEL)
        return salt, public.encrypt(salt, oaep)
    ours = ec.generate_private_key(ec.SECP256R1())
    shared = ours.exchange(ec.ECDH(), public)
    x, y = _point(ours.public_key())
    salt = sha256(u32(1) + shared + _LABEL + x + _point(public)[0]).digest()
    return salt, sized(x) + sized(y)


def _point(public: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
    numbers = public.public_numbers()
    return numbers.x.to_bytes(_COORDINATE, "big"), numbers.y.to_bytes(_COORDINATE, "big")


def encrypted(key: bytes, text: bytes) -> bytes:
    """AES-128-CFB under the first 16 bytes of *key*, begun with the next 16."""
    return _cfb(key, text, decrypting=False)


def decrypted(key: bytes, text: bytes) -> bytes:
    return _cfb(key, text, decrypting=True)


def _cfb(key: bytes, text: bytes, *, decrypting: bool) -> bytes:
    # Of single blocks: the library moves CFB itself away (deprecated since 49).
    block = Cipher(algorithms.AES(key[:_BLOCK]), modes.ECB()).encryptor()  # noqa: S305
    before, out = key[_BLOCK : 2 * _BLOCK], b""
    for at in range(0, len(text), _BLOCK):
        piece = text[at : at + _BLOCK]
        done = bytes(a ^ b for a, b in zip(piece, block.update(before), strict=False))
        before = piece if decrypting else done
        out += done
    return out
