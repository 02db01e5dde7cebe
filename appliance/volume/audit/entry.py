"""One entry: a line of JSON with one way to write it, its hash, and what a crash leaves of one. Pure."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Self

FIRST = "0" * 64
# In bytes, without the line break. A change with thirty post-quantum recipients takes a quarter of it.
MOST = 1 << 18
_MOST_SEQ = 1 << 53  # above it, other readers of JSON round

# What a line is written with, and what is hashed of it.
_WRITTEN = json.JSONEncoder(allow_nan=False)
_HASHED = json.JSONEncoder(allow_nan=False, sort_keys=True, separators=(",", ":"))
HASH = re.compile(r"[0-9a-f]{64}")
# The beginning of a line as json.dumps writes it: whole members, then one that ends anywhere. A string's
# closing quote can be no part of its text, so nothing here is tried twice.
_TEXT = r'"(?:[ !#-\[\]-~]|\\[ -~])*+'
_VALUE = rf'(?:{_TEXT}"|[-+.0-9e]++|true|false|\[(?:{_TEXT}"(?:, )?+)*+\])'
_CUT_VALUE = rf'(?:{_TEXT}[\\"]?|[-+.0-9e]++|[a-z]{{1,5}}|\[(?:{_TEXT}", )*+(?:{_TEXT}(?:\\|",?)?)?\]?)'
_BEGINNING = re.compile(
    rf'(?:\{{(?:{_TEXT}": {_VALUE}, )*+(?:{_TEXT}\\?|{_TEXT}":? ?|{_TEXT}": {_CUT_VALUE},?)?)?'.encode()
)


@dataclass(frozen=True)
class Head:
    """The entry that a chain ends with: its number and its hash; of a log without any, 0 and zeros."""

    seq: Annotated[int, "its number"] = 0
    hash: Annotated[str, "SHA-256 over it and the one before"] = FIRST

    def to_json(self) -> dict[str, object]:
        return {"seq": self.seq, "hash": self.hash}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Raise KeyError, TypeError or ValueError for what to_json did not give."""
        seq, digest = fields["seq"], fields["hash"]
        if type(seq) is not int or not 0 <= seq <= _MOST_SEQ or not HASH.fullmatch(digest):
            raise ValueError("not the head of an audit log")
        return cls(seq, digest)


def parse(line: bytes) -> dict[str, Any] | None:
    """The entry; None for what is none.

    What would be written in other bytes is none either: a key that stands twice, a NaN, a blank too many.
    """
    if len(line) > MOST:
        return None
    try:
        entry = json.loads(line.decode("ascii"))
        same = _WRITTEN.encode(entry).encode() == line
    except (ValueError, RecursionError):
        return None
    return entry if same and isinstance(entry, dict) and _is_whole(entry) else None


def _is_whole(entry: dict[str, Any]) -> bool:
    names = list(entry)
    return (
        [*names[:3], *names[-1:]] == ["seq", "time", "op", "hash"]
        and type(entry["seq"]) is int
        and 0 < entry["seq"] <= _MOST_SEQ
        and all(type(entry[name]) is str for name in ("time", "op", "hash"))
        and HASH.fullmatch(entry["hash"]) is not None
    )


def digest(entry: dict[str, Any], previous: str) -> str:
    """The hash of an entry that has none yet, behind the one whose hash is *previous*."""
    text = previous + _HASHED.encode(entry)
    return hashlib.sha256(text.encode()).hexdigest()


def render(entry: dict[str, Any], previous: str) -> tuple[bytes, Head]:
    """The line that *entry* becomes, and the head that it makes."""
    head = Head(entry["seq"], digest(entry, previous))
    return _WRITTEN.encode({**entry, "hash": head.hash}).encode() + b"\n", head


def begins(line: bytes, seq: int | None) -> bool:
    """Whether a crash may have left *line* where entry *seq*, if that is known, was to be: its beginning.

    A filesystem that lost power may have counted bytes which never arrived; they are read as zeros.
    """
    front = b'{"seq": %d, "time": "' % seq if seq else b""
    body = line.rstrip(b"\0")
    if not line or len(line) > MOST or not (body.startswith(front) or front.startswith(body)):
        return False
    return parse(body) is not None or _BEGINNING.fullmatch(body) is not None
