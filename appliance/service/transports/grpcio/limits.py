"""The arguments of gRPC's core, in one table, from which docs/limits.md is made too."""

from appliance.service.limits import CONNECTIONS, MESSAGE, METADATA, STREAMS, Limit

_KIB = 1024
_WAITING = 10 * STREAMS
_DROPPED = "the connection is closed"


def table(message: int = MESSAGE) -> tuple[Limit, ...]:
    """Those of a door that takes messages of *message* bytes."""
    return (
        Limit(
            "grpc.max_receive_message_length",
            message,
            "`RESOURCE_EXHAUSTED`, as soon as a larger message is announced",
            "half as much again as the largest that we take; the admin socket's bundles are larger",
        ),
        Limit(
            "grpc.per_message_decompression",
            0,
            "a compressed request is read as it came: `E-REQUEST-INVALID`",
            "the API server never compresses, and a kilobyte may unpack to a megabyte",
        ),
        Limit(
            "grpc.http2.lookahead_bytes",
            8 * _KIB,
            "nothing: the rest of a larger request is asked for when it is its turn",
            "what a call may send ahead of being looked at; times the calls that wait",
        ),
        Limit(
            "grpc.http2.bdp_probe",
            0,
            "nothing",
            "else gRPC lets the lookahead of each call grow to megabytes; a Unix socket has no way to fill",
        ),
        Limit(
            "grpc.max_concurrent_streams",
            STREAMS,
            "nothing: a client keeps the rest in a queue of its own, inside their deadlines",
            "Status comes on the same connection and must not stand behind calls that wait for a slow token: "
            "well above what an API server has under way",
        ),
        Limit(
            "grpc.http.overload_protection",
            0,
            "nothing",
            "else a call that is answered counts as under way a moment longer here than at its caller, who "
            "then sees the next one refused: 391 of 1,000 valid calls at once",
        ),
        Limit(
            "grpc.server.max_pending_requests",
            _WAITING,
            "`CANCELLED`; ten full connections at one moment bring it about",
            "calls that nobody has looked at yet. Each takes some 20 KiB, and who stands behind "
            "twenty-five hundred will not be answered within the API server's three seconds",
        ),
        Limit(
            "grpc.server.max_pending_requests_hard_limit",
            _WAITING,
            "`CANCELLED`",
            "the same number, so that none is refused by chance before it",
        ),
        Limit(
            "grpc.max_allowed_incoming_connections",
            CONNECTIONS,
            _DROPPED,
            "below the number of open files, so that ours can always be opened",
        ),
        Limit(
            "grpc.max_connection_idle_ms",
            180_000,
            "a goodbye (GOAWAY) after three minutes without a call; clients dial again by themselves",
            "an idle crowd does not keep the others out; the API server asks for Status every minute",
        ),
        Limit(
            "grpc.http2.settings_timeout",
            10_000,
            f"{_DROPPED} after ten seconds without an HTTP/2 greeting",
            "gRPC's own two minutes let the silent stay",
        ),
        Limit(
            "grpc.server_handshake_timeout_ms",
            10_000,
            f"{_DROPPED} after ten seconds",
            "as above",
        ),
        Limit(
            "grpc.max_metadata_size",
            METADATA,
            "`RESOURCE_EXHAUSTED`",
            "room for the largest tracing baggage that OpenTelemetry sends (8 KiB), for each call that waits",
        ),
        Limit(
            "grpc.absolute_max_metadata_size",
            METADATA,
            "`RESOURCE_EXHAUSTED`",
            "the same number, so that none is refused by chance before it",
        ),
        Limit("grpc.so_reuseport", 0, "nothing", "a path has one server; the listener sees to it"),
    )


# What else gRPC's core answers by itself (grpc 1.85), and we have no reason to change.
LEFT = (
    Limit(
        "grpc.http2.max_ping_strikes",
        None,
        "a goodbye (GOAWAY, too many pings)",
        "the API server sends no keepalive pings",
        "2 pings more often than every 5 minutes",
    ),
    Limit(
        "grpc.http2.max_frame_size",
        None,
        f"{_DROPPED} (FRAME_SIZE_ERROR)",
        "HTTP/2's own smallest",
        "16 KiB",
    ),
    Limit(
        "grpc.http2.hpack_table_size.decoder",
        None,
        "nothing",
        "HTTP/2's own; held once a connection",
        "4 KiB",
    ),
    Limit(
        "grpc.server_max_unrequested_time_in_server",
        None,
        "`CANCELLED` after that long without being looked at",
        "ten times the API server's deadline",
        "30 s",
    ),
    Limit("grpc.max_connection_age_ms", None, "nothing", "good connections live for months", "none"),
    Limit(
        "grpc.keepalive_time_ms",
        None,
        "nothing",
        "the kernel tells at once when the other end of a Unix socket is gone",
        "2 hours",
    ),
    Limit(
        "grpc.resource_quota",
        None,
        "nothing",
        "cannot be reached from Python: the library exports no function that makes one",
        "none",
    ),
)


def options(message: int = MESSAGE) -> list[tuple[str, int]]:
    """As grpc.aio.server takes them."""
    return [(limit.name, limit.value) for limit in table(message) if limit.value is not None]
