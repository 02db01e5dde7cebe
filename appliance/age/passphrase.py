"""Age files under a passphrase, with a key derivation that fits a small pod.

pyrage measures the machine and takes what it can do in a second: a work factor of 19, 512 MiB, on an
ordinary one. Neither it nor `age` has an option for that, and a pod with less is killed. So the writing is
done here, by the age v1 specification; reading is pyrage's.
"""

import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

import pyrage
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance import faults
from appliance.age import free_memory
from appliance.age.key_pairs import decrypted
from appliance.faults import KleidiError

WORK_FACTOR = 16  # 64 MiB and a quarter of a second; with twelve characters or more, guessing is hopeless
MIN_LENGTH = 12
_CHUNK_SIZE = 64 * 1024
_VERSION = b"age-encryption.org/v1"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_STANZA = re.compile(rb"age-encryption\.org/v1\n-> scrypt [^ \n]+ ([1-9][0-9]?)\n")


@dataclass(frozen=True, repr=False)
class Passphrase:
    text: str

    def encrypt(self, data: bytes) -> bytes:
        """Raises E-BACKUP-PASSPHRASE when it is too short, E-BACKUP-MEMORY when memory is."""
        if len(self.text) < MIN_LENGTH:
            raise KleidiError(faults.BACKUP_PASSPHRASE, f"at least {MIN_LENGTH} characters")
        _require_memory(WORK_FACTOR)
        file_key = secrets.token_bytes(16)
        header = _header(self.text.encode(), file_key)
        nonce = secrets.token_bytes(16)
        return header + nonce + _stream(_derived(file_key, b"payload", nonce), data)

    def decrypt(self, data: bytes) -> bytes:
        """Before anything is derived, the file's own work factor is held against the memory there is."""
        plain = _unarmored(data)
        if stanza := _STANZA.match(plain[:256]):
            _require_memory(int(stanza[1]))
        return decrypted(plain, lambda sealed: pyrage.passphrase.decrypt(sealed, self.text))


def is_under_passphrase(data: bytes) -> bool:
    return _STANZA.match(_unarmored(data)[:256]) is not None


def _unarmored(data: bytes) -> bytes:
    """The file itself where it was written as text (`age --armor`): pyrage would look through it as well."""
    if not data.startswith(_ARMOR):
        return data
    try:
        return b64decode(b"".join(data.splitlines()[1:-1]), validate=True)
    except ValueError as error:
        raise KleidiError(faults.BACKUP_CORRUPT, "its armor") from error


def _require_memory(work_factor: int) -> None:
    """What scrypt takes is 1 KiB times its N (r is 8); more than there is, and the kernel ends us."""
    needed, free = 1024 << work_factor, free_memory.bytes_left()
    if needed > free:
        raise KleidiError(faults.BACKUP_MEMORY, f"{needed >> 20} MiB wanted, {free >> 20} MiB free")


def _header(passphrase: bytes, file_key: bytes) -> bytes:
    salt = secrets.token_bytes(16)
    scrypt = Scrypt(salt=_VERSION + b"/scrypt" + salt, length=32, n=1 << WORK_FACTOR, r=8, p=1)
    # A zero nonce is the specification's: this key wraps one file key and nothing else.
    wrapped = ChaCha20Poly1305(scrypt.derive(passphrase)).encrypt(bytes(12), file_key, None)
    stanza = b"-> scrypt %s %d\n%s\n" % (_base64(salt), WORK_FACTOR, _base64(wrapped))
    front = _VERSION + b"\n" + stanza + b"---"
    mac = hmac.digest(_derived(file_key, b"header", b""), front, sha256)
    return front + b" " + _base64(mac) + b"\n"


def _stream(key: bytes, data: bytes) -> bytes:
    """Chunks of 64 KiB, each with its number for a nonce, the last one marked."""
    cipher = ChaCha20Poly1305(key)
    starts = range(0, len(data), _CHUNK_SIZE) or (0,)
    chunks = (
        cipher.encrypt(
            number.to_bytes(11, "big") + (b"\1" if start + _CHUNK_SIZE >= len(data) else b"\0"),
            data[start : start + _CHUNK_SIZE],
            None,
        )
        for number, start in enumerate(starts)
    )
    return b"".join(chunks)


def _derived(file_key: bytes, use: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=use).derive(file_key)


def _base64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")
