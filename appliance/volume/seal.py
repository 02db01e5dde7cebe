r"""The sealed file, format 2.

    kleidi-seal 2\n | header length, 4 bytes | header, JSON | nonce, 12 bytes | payload | SHA-256

The payload is AES-256-GCM under a data key made for this file alone; its associated
data is everything before the nonce, so no header can be changed or moved. Each slot
of the header wraps that data key. The closing hash is no protection: it tells a
damaged file from a wrong key.

Format 1 differs in its payload alone (volume/format1.py), and is read for ever.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume.slot import KEY_SIZE, Slot, Unwrapper, Wrapper

FORMAT = 2
_READ = (1, 2)
_MAGIC = b"kleidi-seal "
_NONCE_SIZE = 12
_HASH_SIZE = 32
_MAX_HEADER = 1 << 20


class SealedError(KleidiError):
    """No slot opens, for the reason of what keeps the key of one."""


@dataclass(frozen=True)
class Header:
    lineage: str
    generation: int
    slots: tuple[Slot, ...] = ()

    @property
    def context(self) -> bytes:
        """What binds a slot to its file."""
        return f"kleidi/{self.lineage}/{self.generation}".encode()

    def to_json(self) -> dict[str, Any]:
        slots = [{"kind": slot.kind, "values": dict(slot.values)} for slot in self.slots]
        return {"lineage": self.lineage, "generation": self.generation, "slots": slots}

    def to_bytes(self, number: int = FORMAT) -> bytes:
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()
        return b"%s%d\n" % (_MAGIC, number) + len(text).to_bytes(4, "big") + text


def seal(header: Header, payload: bytes, keys: Sequence[Wrapper]) -> bytes:
    """Seal *payload* so that each of *keys* opens it; the header's own slots are replaced."""
    data_key, nonce = secrets.token_bytes(KEY_SIZE), secrets.token_bytes(_NONCE_SIZE)
    slots = tuple(key.wrap(data_key, header.context) for key in keys)
    front = Header(header.lineage, header.generation, slots).to_bytes()
    body = front + nonce + AESGCM(data_key).encrypt(nonce, payload, front)
    return body + hashlib.sha256(body).digest()


def read_header(data: bytes) -> Header:
    """The header as written; only unseal proves it."""
    return _split(data)[1]


def unseal(data: bytes, keys: Sequence[Unwrapper]) -> tuple[Header, bytes]:
    """Open a sealed file with whichever of *keys* fits.

    Raises KleidiError: E-SEAL-NEWER, E-SEAL-CORRUPT or E-SEAL-KEY-WRONG; where one of *keys* could not tell,
    a SealedError with its reason, once all were tried.
    """
    number, header, front, sealed = _split(data)
    data_key = _data_key(header, keys)
    try:
        payload = AESGCM(data_key).decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], front)
    except (InvalidTag, ValueError) as error:  # ValueError: not even a nonce is left
        raise KleidiError(faults.SEAL_CORRUPT, "the payload fails its authentication") from error
    # Only now, for who tampers with a header is not a newer version.
    if header.to_bytes(number) != front:
        raise KleidiError(faults.SEAL_NEWER, "the header holds what this version does not know")
    return header, payload


def _data_key(header: Header, keys: Sequence[Unwrapper]) -> bytes:
    untold: KleidiError | None = None
    for slot, key in product(header.slots, keys):
        if slot.kind != key.kind:
            continue
        try:
            data_key = key.unwrap(slot, header.context)
        except KleidiError as error:
            untold = untold or error
            continue
        except (KeyError, TypeError, ValueError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {slot.kind}") from error
        if data_key is not None:
            return data_key
    if untold is not None:
        raise SealedError(untold.fault, untold.detail) from untold
    kinds = ", ".join(slot.kind for slot in header.slots) or "none"
    raise KleidiError(faults.SEAL_KEY_WRONG, f"the file's slots: {kinds}")


def _split(data: bytes) -> tuple[int, Header, bytes, bytes]:
    """Format, header, the bytes it was read from (magic included), and nonce with payload."""
    line, newline, rest = data[:64].partition(b"\n")
    number = line.removeprefix(_MAGIC)
    if line.startswith(_MAGIC) and newline and number.isdigit() and int(number) > FORMAT:
        raise KleidiError(faults.SEAL_NEWER, f"format {int(number)}, this version knows {FORMAT}")
    body, digest = data[:-_HASH_SIZE], data[-_HASH_SIZE:]
    if hashlib.sha256(body).digest() != digest:
        raise KleidiError(faults.SEAL_CORRUPT, "the closing hash does not fit")
    start = len(line) + 5
    size = int.from_bytes(rest[:4], "big")
    try:
        if line not in [b"%s%d" % (_MAGIC, known) for known in _READ] or size > _MAX_HEADER:
            raise ValueError("not a sealed file of a format that there is")
        header = _parse(json.loads(body[start : start + size]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise KleidiError(faults.SEAL_CORRUPT, f"the header: {error}") from error
    return int(number), header, body[: start + size], body[start + size :]


def _parse(fields: dict[str, Any]) -> Header:
    slots = tuple(Slot(str(slot["kind"]), dict(slot["values"])) for slot in fields["slots"])
    return Header(str(fields["lineage"]), int(fields["generation"]), slots)
