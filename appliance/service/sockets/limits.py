"""What one who asks by HTTP can make us hold, on the health socket and, each its own, on KLEIDI_HTTP."""

from appliance.service.limits import Limit

LINE = 1024
HEAD = 4096
SECONDS = 2.0
# A probe asks once in ten seconds, a scraper less often; who opens more connections than this is neither.
CALLERS = 64


def table() -> tuple[Limit, ...]:
    return (
        Limit("callers", CALLERS, "503", "a probe asks once in ten seconds, a scraper less often"),
        Limit("bytes of the first line", LINE, "414", "the longest question that we answer has some 200"),
        Limit("bytes of all that is asked", HEAD, "431, or a reset", "what is asked has no body"),
        Limit(
            "seconds from the first byte to the last of the answer",
            int(SECONDS),
            "the connection is closed",
            "who is silent, or does not read, must not stay",
        ),
        Limit("questions of a connection", 1, "`Connection: close`", "so that nobody can hold one open"),
    )
