"""What one who connects can make us hold or do, set on purpose."""

from appliance.service import limits
from appliance.service.limits import Limit

# Replies that nobody takes, and calls that wait for more than their turn on the event loop.
PENDING = 10 * limits.STREAMS
WINDOW = 64 * 1024
FRAME = 16 * 1024
SEND_BUFFER = 64 * 1024
RESETS_AT_ONCE, RESETS_A_SECOND = 1000, 100
FRAMES = 10_000
ACKS = 1000
SETTINGS = 32
CONTINUATIONS = 8
GREETING_SECONDS = 10.0
CLOSING_SECONDS = 10.0
IDLE_SECONDS = 180.0

_CALM = "a goodbye (GOAWAY, ENHANCE_YOUR_CALM)"
_DROPPED = "the connection is closed"


def table() -> tuple[Limit, ...]:
    return (
        Limit(
            "streams of a connection",
            limits.STREAMS,
            "nothing: a client keeps the rest in a queue of its own, inside their deadlines",
            "Status comes on the same connection and must not stand behind calls that wait for a slow token: "
            "well above what an API server has under way",
        ),
        Limit("connections", limits.CONNECTIONS, _DROPPED, "below the number of open files"),
        Limit(
            "calls that wait, and replies that nobody takes, each in all",
            PENDING,
            "`RESOURCE_EXHAUSTED`; of replies the oldest is dropped, its call reset (ENHANCE_YOUR_CALM)",
            "who stands behind twenty-five hundred is not answered within the API server's three seconds",
        ),
        Limit(
            "bytes of a call's metadata",
            limits.METADATA,
            "`RESOURCE_EXHAUSTED`",
            "room for the largest tracing baggage that OpenTelemetry sends (8 KiB)",
        ),
        Limit("bytes that a call may send ahead", WINDOW, "nothing", "one message; HTTP/2's own is as large"),
        Limit("bytes of a frame", FRAME, f"{_DROPPED} (FRAME_SIZE_ERROR)", "HTTP/2's own smallest"),
        Limit(
            "bytes that wait for a reader, a connection",
            SEND_BUFFER,
            "nothing: who does not read is not read from",
            "in the kernel, and as many here",
        ),
        Limit(
            "calls that are reset, a second",
            RESETS_A_SECOND,
            "a goodbye (GOAWAY, INTERNAL_ERROR)",
            f"{RESETS_AT_ONCE:,} at once: what all streams of an API server have, four times over",
        ),
        Limit(
            "frames between the ends of two calls",
            FRAMES,
            _CALM,
            "pings, settings, priorities, windows, crumbs of DATA; the largest bundle takes a thousand",
        ),
        Limit("answers to pings and settings that wait", ACKS, _DROPPED, "who does not read them"),
        Limit("entries of a SETTINGS frame", SETTINGS, _DROPPED, "there are eight names"),
        Limit("CONTINUATION frames of a header", CONTINUATIONS, _DROPPED, "the largest metadata need one"),
        Limit("seconds until a greeting", int(GREETING_SECONDS), _DROPPED, "the silent must not stay"),
        Limit(
            "seconds without a call",
            int(IDLE_SECONDS),
            "a goodbye (GOAWAY); clients dial again by themselves",
            "half a call is none, nor is one whose answer nobody takes; an idle crowd does not keep the "
            "others out; the API server asks for Status every minute",
        ),
        Limit(
            "seconds for a goodbye",
            int(CLOSING_SECONDS),
            _DROPPED,
            "who reads nothing does not read that either",
        ),
        Limit("compressed requests", 0, "`E-REQUEST-INVALID`", "the API server never compresses"),
    )
