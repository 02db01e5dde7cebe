"""What is sent around a reply: the header blocks, those of a good call made once."""

from http import HTTPStatus
from typing import Final

from appliance.service.transports.nghttp2._interface import ffi
from appliance.service.transports.nghttp2.library import C

_PERCENT: Final = ord("%")


class Headers:
    """Pairs as nghttp2 takes them: a pointer and a number, good for as long as this lives."""

    def __init__(self, *pairs: tuple[bytes, bytes]) -> None:
        self._kept = [
            (ffi.from_buffer("char[]", name), ffi.from_buffer("char[]", value)) for name, value in pairs
        ]
        self.count = len(pairs)
        self.first: C = ffi.new(
            "nghttp2_nv[]", [(name, value, len(name), len(value), 0) for name, value in self._kept]
        )


def refusal(code: int, words: str) -> Headers:
    """Headers and trailers in one (gRPC calls it Trailers-Only)."""
    return Headers(*_OPENING, (b"grpc-status", b"%d" % code), (b"grpc-message", _encoded(words)))


def rejection(status: HTTPStatus) -> Headers:
    """Of what is no gRPC at all."""
    return Headers((b":status", b"%d" % status.value))


def _encoded(words: str) -> bytes:
    """Percent-encoded, as gRPC wants it: all but printable ASCII, and the percent sign."""
    return b"".join(
        b"%c" % byte if 0x20 <= byte < 0x7F and byte != _PERCENT else b"%%%02X" % byte  # noqa: PLR2004
        for byte in words.encode()
    )


_OPENING: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OPENING: Final = Headers(*_OPENING)
CLOSING: Final = Headers((b"grpc-status", b"0"))
