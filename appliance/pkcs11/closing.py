"""Bytes closed to a key pair's public half, in this process; only the device that has the pair opens them."""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from softhsm.pkcs11 import oaep, pair
from softhsm.pkcs11.errors import DeniedError, NoOaepError, SuspectError, TamperedError
from softhsm.pkcs11.key_pairs import KeyPairs

Hash = oaep.Hash
Public = pair.Public
# In OAEP nothing rests on collisions, so that SHA-1 is as good; it is what SoftHSM 2.6.1 has.
_HASHES: Final[dict[Hash, type[HashAlgorithm]]] = {Hash.SHA256: SHA256, Hash.SHA1: SHA1}
_PROBE: Final = b"kleidi/pkcs11-oaep/v1"


def fingerprint(public: Public) -> str:
    """SHA-256 of the public key as X.509 writes it (SubjectPublicKeyInfo), in hexadecimal digits."""
    return sha256(_key(public).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def close(public: Public, used: Hash, plaintext: bytes) -> bytes:
    algorithm = _HASHES[used]
    return _key(public).encrypt(plaintext, OAEP(MGF1(algorithm()), algorithm(), label=None))


def best(public: Public, decrypt: Callable[[Hash, bytes], bytes]) -> Hash:
    """The first hash with which the device opens what was closed here. Raises `NoOaepError` without any."""
    refused: list[str] = []
    for used in Hash:
        try:
            if decrypt(used, close(public, used, _PROBE)) == _PROBE:
                return used
            refused.append(f"{used.value}: it gives back other bytes")
        except (DeniedError, SuspectError) as error:
            refused.append(f"{used.value}: {error}")
    raise NoOaepError(f"the token opens nothing that is closed by RSA-OAEP: {'; '.join(refused)}")


def opened(pairs: KeyPairs, label: str, public: Public, used: Hash, ciphertext: bytes) -> bytes:
    """Raises `TamperedError` when it is nothing that was closed to this pair with that hash."""
    if len(ciphertext) != (public.modulus.bit_length() + 7) // 8:
        raise TamperedError("the ciphertext is not as long as the key")
    if int.from_bytes(ciphertext) >= public.modulus:
        # Modules answer as if the call were at fault.
        raise TamperedError("the ciphertext is a number above the key's")
    try:
        return pairs.decrypt(label, public, used, ciphertext)
    except SuspectError:
        # A lost login may look like it. This mends it, or tells what it is.
        pairs.decrypt(label, public, used, close(public, used, _PROBE))
    try:
        return pairs.decrypt(label, public, used, ciphertext)
    except SuspectError as error:
        raise TamperedError("the ciphertext was not closed to this key pair") from error


def _key(public: Public) -> RSAPublicKey:
    try:
        return RSAPublicNumbers(public.exponent, public.modulus).public_key()
    except ValueError as error:
        raise DeniedError(f"the token has a public key that is none: {error}") from error
