"""What the API server feels, said once for each kind of fault.

Measured on the API server's own code: what it does about an answer of ours, and for how long.
"""

from appliance.faults import Kind
from appliance.runbook.entry import Effect, Wake

_LASTS = "when it lasts a minute"
_COASTS = (
    "`/readyz` and `/healthz` of the API server fail within a minute, and a load balancer takes it out; "
    "`/livez` does not fail. It writes with the seed that it has for up to three minutes after the "
    "last good Status, then every write of an encrypted resource fails with 500. It reads what it has "
    "read before. An API server that starts now reads and writes no encrypted resource at all, and does "
    "not get ready"
)

NOTHING = Effect(
    "nothing",
    "The command that was typed ended. What is served goes on as before, and `kleidi status` says how it is",
    Wake.NEVER,
)
NOTHING_YET = Effect(
    "nothing yet",
    (
        "Every call is answered and Status says `ok`. `kleidi status`, our readiness probe and the log tell "
        "of it. Left alone it costs the next start, the next change or a key"
    ),
    Wake.TODAY,
)
SOME_CALLS = Effect(
    "some calls fail",
    (
        "Status keeps the key id and gives the reason as `healthz`. Writes go on without limit; a call on "
        "the key in question fails with UNAVAILABLE, and a read that needs it with 500. `/readyz` and "
        "`/healthz` of the API server fail, so a load balancer takes it out although it works"
    ),
    Wake.NOW,
    _LASTS,
)
ITS_CALLS = Effect(
    "calls on its keys fail",
    (
        "Where it holds keys: Status keeps the key id and gives the reason as `healthz`, writes go on, a "
        "call gets UNAVAILABLE, and a read that is not in the API server's memory fails with 500; `/readyz` "
        "and `/healthz` of the API server fail. After a start of ours no call is answered until the "
        "primary key was proved once. Where it opens the seal alone: nothing while a key is open, and "
        "sealed at the next start"
    ),
    Wake.NOW,
    _LASTS,
)
NEXT_START = Effect(
    "the next start stays sealed",
    (
        f"While a key is open nobody asks the slot: every call is answered, and E-SEAL-KEY-GONE warns. At a "
        f"start the volume stays sealed until some slot opens, and no call is answered. {_COASTS}"
    ),
    Wake.NOW,
    "when nothing is served; else look today",
)
NO_CALL = Effect(
    "no call is answered",
    (
        f"Status, Encrypt and Decrypt answer UNAVAILABLE with this id. {_COASTS}. Ten seconds after us it "
        f"is well again"
    ),
    Wake.NOW,
    _LASTS,
)
REFUSED = Effect(
    "no call is taken",
    (
        f"Status, Encrypt and Decrypt answer FAILED_PRECONDITION with this id, so that nothing is stored "
        f"that could not be read. {_COASTS}"
    ),
    Wake.NOW,
)
NOBODY = Effect(
    "nobody is there",
    f"The container ends and is started again, and nobody answers at the socket. {_COASTS}. After "
    "minutes without us it dials less often: up to two and a half minutes may pass until it comes back",
    Wake.NOW,
)
ONE_CALL = Effect(
    "one call is refused",
    (
        "The caller gets INVALID_ARGUMENT. If it is the API server, the read or the new seed behind that "
        "call fails; health and every other call are as before"
    ),
    Wake.TODAY,
)
ONE_READ = Effect(
    "an object cannot be read",
    (
        "Decrypt answers INVALID_ARGUMENT (what is not of our making), NOT_FOUND (a key that is not "
        "held), FAILED_PRECONDITION (one that was switched off) or DATA_LOSS (a ciphertext that is not "
        "whole). Reading that object fails with 500, and so does every list that has it in it: "
        "controllers that watch the resource stop. Status is `ok` and writes go on. An API server that "
        "starts now does not get ready"
    ),
    Wake.NOW,
)
LATE = Effect(
    "one call came too late",
    (
        "It gets DEADLINE_EXCEEDED: the API server had given up (its timeout, 3 s by default) and asks "
        "again. Many of them are slow reads after its start"
    ),
    Wake.TODAY,
    "when they go on",
)
CROWDED = Effect(
    "calls are turned away",
    (
        "A call beyond the queue gets RESOURCE_EXHAUSTED, and its read fails with 500. Status is answered "
        "ahead of the queue"
    ),
    Wake.NOW,
    _LASTS,
)
OURS = Effect(
    "one answer is missing",
    (
        "The call or command at hand ends with INTERNAL. If the token could not be opened for it, Status "
        "says so, and no call is answered until a later try succeeds"
    ),
    Wake.TODAY,
    "at once when `kleidi status` does not serve",
)

EVERY = (
    NOTHING,
    NOTHING_YET,
    SOME_CALLS,
    ITS_CALLS,
    NEXT_START,
    NO_CALL,
    REFUSED,
    NOBODY,
    ONE_CALL,
    ONE_READ,
    LATE,
    CROWDED,
    OURS,
)
OF_KIND = {
    # A wrong word on the command line; of the server's own settings the entries say more.
    Kind.CONFIGURATION: NOTHING,
    Kind.MALFORMED: ONE_CALL,
    Kind.UNKNOWN_KEY: ONE_READ,
    Kind.TAMPERED: ONE_READ,
    Kind.KEY_OFF: ONE_READ,
    Kind.WAITING: NO_CALL,
    Kind.DEGRADED: SOME_CALLS,
    Kind.WARNING: NOTHING_YET,
    Kind.WRONG: REFUSED,
    Kind.REFUSED: NOTHING,
    Kind.GONE: LATE,
    Kind.OVERLOAD: CROWDED,
    Kind.BUG: OURS,
}
