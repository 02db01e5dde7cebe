"""HTTP/2's bytes, as a caller of the tests writes them: nothing here minds what is allowed."""

import struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# RFC 9113, 6: frames, flags, settings.
DATA, HEADERS, PRIORITY, RESET, SETTINGS_FRAME, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ACK, END_STREAM, END_HEADERS, PADDED = 1, 1, 4, 8
TABLE_SIZE, INITIAL_WINDOW, LARGEST_FRAME_NAME = 1, 4, 5
DEFAULT_WINDOW: Final = 65_535
LARGEST_FRAME: Final = 16_384
HEAD: Final = struct.Struct(">BHBBL")
KMS: Final = "/v2.KeyManagementService"
ENCRYPT: Final = f"{KMS}/Encrypt"
STATUS: Final = f"{KMS}/Status"

Pairs = tuple[tuple[str, str], ...]
PSEUDO: Final[Pairs] = ((":method", "POST"), (":scheme", "http"), (":authority", "localhost"))
GRPC: Final[Pairs] = (("te", "trailers"), ("content-type", "application/grpc"))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS_FRAME, 0, 0, b"".join(struct.pack(">HL", *pair) for pair in pairs))


SETTINGS: Final = settings()


def window(stream: int, more: int) -> bytes:
    return frame(WINDOW, 0, stream, more.to_bytes(4, "big"))


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RESET, 0, stream, code.to_bytes(4, "big"))


def block(*pairs: tuple[str, str]) -> bytes:
    """HPACK without a table: literals, in this order (RFC 7541, 6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs)


def headers(path: str, *more: tuple[str, str]) -> bytes:
    return block(*PSEUDO, (":path", path), *GRPC, *more)


def message(body: bytes, announced: int | None = None, compressed: int = 0) -> bytes:
    """As gRPC frames it, whatever length is announced."""
    return bytes([compressed]) + (len(body) if announced is None else announced).to_bytes(4, "big") + body


def call(stream: int, path: str, body: bytes = b"", *more: tuple[str, str]) -> bytes:
    """A whole call: what a good caller sends of it."""
    return frame(HEADERS, END_HEADERS, stream, headers(path, *more)) + frame(
        DATA, END_STREAM, stream, message(body)
    )


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    length = len(data)
    if length < 127:
        return bytes([length]) + data
    size, length = b"\x7f", length - 127
    while length >= 128:
        size += bytes([length % 128 + 128])
        length //= 128
    return size + bytes([length]) + data
