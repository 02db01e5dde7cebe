"""What all sessions share: the functions that nghttp2 calls, its limits, our greeting. Made once."""

from collections.abc import Callable
from typing import Final

from appliance.logs import log
from appliance.service import limits
from appliance.service.transports.nghttp2 import headers, library
from appliance.service.transports.nghttp2 import limits as ours
from appliance.service.transports.nghttp2._interface import ffi
from appliance.service.transports.nghttp2.call import HEADER_OVERHEAD, NAME_SIZES, Call
from appliance.service.transports.nghttp2.library import C

# RFC 9113, 6.5.2: settings.
_MOST_STREAMS, _INITIAL_WINDOW, _LARGEST_FRAME, _MOST_HEADER_BYTES = 3, 4, 5, 6
# nghttp2's own: of a read callback, that was all and trailers follow; of any, it cannot go on.
_LAST_DATA: Final = 3
_FAILED: Final = -902

LIB: Final[C] = library.load()


def _told(*_: object) -> None:
    log.exception("a mistake of ours, in a callback of nghttp2")


def _callback(kind: str) -> Callable[[Callable[..., int]], C]:
    return ffi.callback(kind, error=_FAILED, onerror=_told)  # type: ignore[no-any-return]


@_callback("nghttp2_on_header_callback")
def _on_header(_: C, head: C, name: C, size: int, value: C, value_size: int, _f: int, user: C) -> int:
    # Called eight times a call, so it does all by itself.
    session, stream = ffi.from_handle(user), head.stream_id
    call: Call = session.calls.get(stream) or session.begun(stream)
    call.header_size += size + value_size + HEADER_OVERHEAD
    if size in NAME_SIZES and call.header_size <= limits.METADATA:
        call.take_header(ffi.unpack(name, size), ffi.unpack(value, value_size))
    return 0


@_callback("nghttp2_on_data_chunk_recv_callback")
def _on_data(_: C, _flags: int, stream: int, data: C, size: int, user: C) -> int:
    ffi.from_handle(user).took_data(stream, data, size)
    return 0


@_callback("nghttp2_on_frame_recv_callback")
def _on_frame(_: C, head: C, user: C) -> int:
    ffi.from_handle(user).took_frame(head.type, head.flags, head.stream_id)
    return 0


@_callback("nghttp2_on_stream_close_callback")
def _on_close(_: C, stream: int, _error: int, user: C) -> int:
    ffi.from_handle(user).closed(stream)
    return 0


@_callback("nghttp2_data_source_read_callback")
def _read_reply(session: C, stream: int, room: C, size: int, flags: C, _source: C, user: C) -> int:
    call: Call = ffi.from_handle(user).calls[stream]
    piece = call.reply[call.sent : call.sent + size]  # of the whole no copy
    ffi.memmove(room, piece, len(piece))
    call.sent += len(piece)
    if call.sent == len(call.reply):
        flags[0] = _LAST_DATA
        closing = headers.CLOSING
        LIB.nghttp2_submit_trailer(session, stream, closing.first, closing.count)
    return len(piece)


def _callbacks() -> C:
    made = ffi.new("nghttp2_session_callbacks **")
    LIB.nghttp2_session_callbacks_new(made)
    LIB.nghttp2_session_callbacks_set_on_header_callback(made[0], _on_header)
    LIB.nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made[0], _on_data)
    LIB.nghttp2_session_callbacks_set_on_frame_recv_callback(made[0], _on_frame)
    LIB.nghttp2_session_callbacks_set_on_stream_close_callback(made[0], _on_close)
    return made[0]


def _options() -> C:
    made = ffi.new("nghttp2_option **")
    LIB.nghttp2_option_new(made)
    LIB.nghttp2_option_set_max_outbound_ack(made[0], ours.ACKS)
    LIB.nghttp2_option_set_max_settings(made[0], ours.SETTINGS)
    LIB.nghttp2_option_set_max_continuations(made[0], ours.CONTINUATIONS)
    LIB.nghttp2_option_set_stream_reset_rate_limit(made[0], ours.RESETS_AT_ONCE, ours.RESETS_A_SECOND)
    return made[0]


# Made once, for all sessions; the library copies none of them.
CALLBACKS: Final = _callbacks()
OPTIONS: Final = _options()
OUTPUT: Final = ffi.new("const char **")
REPLIES: Final = ffi.new("nghttp2_data_provider *", {"read_callback": _read_reply})
GREETING: Final = ffi.new(
    "nghttp2_settings_entry[]",
    [
        (_MOST_STREAMS, limits.STREAMS),
        (_INITIAL_WINDOW, ours.WINDOW),
        (_LARGEST_FRAME, ours.FRAME),
        (_MOST_HEADER_BYTES, limits.METADATA),
    ],
)
