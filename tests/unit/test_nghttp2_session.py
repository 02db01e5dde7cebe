"""HTTP/2 from bytes to bytes: whatever comes, in whatever pieces, gets its own answer or none."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.service.limits import MESSAGE
from appliance.service.rpc.answers import Code
from appliance.service.transports.nghttp2 import limits
from tests.http2 import (
    CONTINUATION,
    DATA,
    ENCRYPT,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PSEUDO,
    PUSH,
    RESET,
    SETTINGS,
    SETTINGS_FRAME,
    WINDOW,
    block,
    call,
    frame,
    headers,
    message,
    window,
)
from tests.http2 import settings as settings_frame
from tests.unit.line import Line, told

_HELLO = PREFACE + SETTINGS
_ENHANCE_YOUR_CALM = 11
_KINDS = (DATA, HEADERS, PRIORITY, RESET, SETTINGS_FRAME, PUSH, PING, GOAWAY, WINDOW, CONTINUATION, 0xEE)
_DERANDOMIZED = settings(derandomize=True, max_examples=150, deadline=None)


@dataclass(frozen=True)
class Asked:
    """A call as a caller may make it, and what it gets for it."""

    body: bytes
    pieces: tuple[int, ...]
    extra: int = 0
    compressed: int = 0
    timeout: str = "3S"
    trailers: bool = False

    @property
    def good(self) -> bool:
        number, unit = self.timeout[:-1], self.timeout[-1:]
        timed = number.isdecimal() and number.isascii() and len(number) <= 8 and unit in tuple("HMSmun")
        return timed and self.announced == len(self.body) and not self.compressed

    @property
    def announced(self) -> int:
        return max(0, len(self.body) + self.extra)

    def frames(self, stream: int) -> Iterator[bytes]:
        yield frame(HEADERS, END_HEADERS, stream, headers(ENCRYPT, ("grpc-timeout", self.timeout)))
        data = message(self.body, self.announced, self.compressed)
        cuts = [0, *sorted(cut % (len(data) + 1) for cut in self.pieces), len(data)]
        last = 0 if self.trailers else END_STREAM
        for number, (start, end) in enumerate(pairwise(cuts), 2):
            yield frame(DATA, last if number == len(cuts) else 0, stream, data[start:end])
        if self.trailers:
            yield frame(HEADERS, END_HEADERS | END_STREAM, stream, block(("x-trailer", "late")))


_TIMEOUTS = st.sampled_from(
    [
        "3S",
        "1H",
        "99999999n",
        "0S",
        "",
        "S",
        "1",
        "-1S",
        "+1S",
        "1.5S",
        "1 S",
        "123456789S",
        "1s",
        "5Sx",
        "²S",
    ]
)
_ASKED = st.builds(
    Asked,
    body=st.binary(max_size=3000),
    pieces=st.lists(st.integers(0, 4000), max_size=4).map(tuple),
    extra=st.sampled_from([0, 0, 0, 1, -1]),
    compressed=st.sampled_from([0, 0, 0, 1, 255]),
    timeout=st.just("3S") | _TIMEOUTS,
    trailers=st.booleans(),
)


@st.composite
def _spoken(draw: st.DrawFn) -> tuple[list[Asked], bytes]:
    """Calls whose frames come mixed, answered through windows of any size."""
    asked = draw(st.lists(_ASKED, min_size=1, max_size=5))
    opening = PREFACE + settings_frame((INITIAL_WINDOW, draw(st.integers(1, 5000))))
    waiting = [list(one.frames(2 * number + 1)) for number, one in enumerate(asked)]
    order = b"".join(frames.pop(0) for frames in waiting)
    while left := [frames for frames in waiting if frames]:
        order += draw(st.sampled_from(left)).pop(0)
        if draw(st.booleans()):
            order += frame(PING, 0, 0, bytes(8))
    return asked, opening + order


def _chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for start, end in pairwise(places):
        yield data[start:end]


_CUTS = st.lists(st.integers(0, 20_000), max_size=12)


@_DERANDOMIZED
@given(spoken=_spoken(), cuts=_CUTS, opening=st.lists(st.integers(1, 4000), max_size=6))
def test_every_call_is_answered_once_and_with_its_own_bytes_in_whatever_pieces_they_come(
    spoken: tuple[list[Asked], bytes], cuts: list[int], opening: list[int]
) -> None:
    asked, data = spoken
    with Line() as line:
        for chunk in _chunks(data, cuts):
            line.feed(chunk)
        for more in [*opening, 60_000]:
            line.feed(
                b"".join(window(2 * number + 1, more) for number in range(len(asked)) if _opens(line, number))
            )
        streams, goodbyes = told(bytes(line.sent))
    assert goodbyes == []
    for number, one in enumerate(asked):
        here = streams[2 * number + 1]
        assert here.ends == 1
        if one.good:
            assert (here.code, here.body) == ("0", message(one.body))
        else:
            assert (here.code, here.body) == (str(Code.INVALID_ARGUMENT.value), b"")


def _opens(line: Line, number: int) -> bool:
    return 2 * number + 1 in line.session.calls


@_DERANDOMIZED
@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_any_bytes_in_any_pieces_do_no_more_than_end_the_connection(
    chunks: list[bytes], greeted: bool
) -> None:
    with Line(most=2) as line:
        if greeted:
            line.feed(_HELLO)
        for chunk in chunks:
            line.feed(chunk)


_FRAMES = st.builds(
    frame,
    st.sampled_from(_KINDS),
    st.sampled_from([0, 1, 4, 5, 8, 0x0C, 0x20, 0x25, 0xFF]),
    st.sampled_from([0, 1, 1, 3, 5, 7, 2, 9, 0x7FFFFFFF, 0xFFFFFFFF]),
    st.binary(max_size=40)
    | st.sampled_from(
        [headers(ENCRYPT), headers("/none"), message(b"whole"), message(b"", MESSAGE + 1), bytes(4)]
    ),
)


@_DERANDOMIZED
@given(st.lists(_FRAMES, max_size=40), _CUTS)
def test_frames_that_nobody_sends_do_no_more_than_end_the_connection(
    frames: list[bytes], cuts: list[int]
) -> None:
    with Line(most=2) as line:
        for chunk in _chunks(_HELLO + b"".join(frames), cuts):
            line.feed(chunk)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(_spoken())[1])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(len(PREFACE), len(data)))
        size = draw(st.integers(0, 60))
        how = draw(st.sampled_from(["flip", "cut", "twice", "put"]))
        if how == "flip" and at < len(data):
            data[at] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del data[at : at + size]
        elif how == "twice":
            data[at:at] = data[at : at + size]
        elif how == "put":
            data[at:at] = draw(st.binary(max_size=60))
    return bytes(data)


@_DERANDOMIZED
@given(_mutated(), _CUTS)
def test_damaged_frames_do_no_more_than_end_the_connection(data: bytes, cuts: list[int]) -> None:
    with Line(most=2) as line:
        for chunk in _chunks(data, cuts):
            line.feed(chunk)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frame(DATA, 0, 1), id="empty DATA"),
        pytest.param(frame(DATA, 0, 1, b"\0"), id="crumbs of DATA"),
        pytest.param(frame(DATA, PADDED, 1, b"\x09" + bytes(9)), id="DATA of padding alone"),
        pytest.param(frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), id="PRIORITY"),
        pytest.param(window(0, 1), id="WINDOW_UPDATE"),
        pytest.param(frame(PING, 0, 0, bytes(8)), id="PING"),
        pytest.param(SETTINGS, id="SETTINGS"),
    ],
)
def test_a_flood_that_brings_no_call_to_its_end_is_ended(flood: bytes) -> None:
    with Line() as line:
        line.feed(_HELLO + frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)) + message_head(20_000))
        for _ in range(limits.FRAMES // 100):
            line.feed(flood * 100)
        assert line.session.over
        assert told(bytes(line.sent))[1] == [_ENHANCE_YOUR_CALM]


def message_head(announced: int) -> bytes:
    return frame(DATA, 0, 1, message(b"", announced))


def test_whole_calls_may_come_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FRAMES", 100)
    with Line() as line:
        line.feed(_HELLO)
        for number in range(4 * limits.FRAMES):
            line.feed(call(2 * number + 1, ENCRYPT, b"good") + window(0, 9))
        streams, goodbyes = told(bytes(line.sent))
    assert goodbyes == []
    assert {(one.code, one.body) for one in streams.values()} == {("0", message(b"good"))}


def test_a_body_in_crumbs_takes_no_more_room_than_its_bytes() -> None:
    size = 18_000
    with Line() as line:
        line.feed(_HELLO + frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)) + message_head(MESSAGE))
        tracemalloc.start()
        try:
            for _ in range(size // 200):
                line.feed(frame(DATA, 0, 1, b"\0\1") * 100)
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken < 3 * size


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/grpc", "200"),
        ("application/grpc+proto", "200"),
        ("application/grpc;charset=utf-8", "200"),
        ("application/grpc-web", "415"),
        ("application/grpcweb+proto", "415"),
        ("application/json", "415"),
        ("", "415"),
    ],
)
def test_what_is_not_grpc_is_told_so(content_type: str, status: str) -> None:
    request = block(*PSEUDO, (":path", ENCRYPT), ("content-type", content_type))
    with Line() as line:
        line.feed(_HELLO + frame(HEADERS, END_HEADERS, 1, request) + frame(DATA, END_STREAM, 1, message(b"")))
        streams, goodbyes = told(bytes(line.sent))
    assert (streams[1].status, streams[1].ends, goodbyes) == (status, 1, [])
