"""Everything that can go wrong, in one closed table: a stable id, what it means, what to do.

A fault's *kind* says who is hurt and is turned into a gRPC status at the edge
(appliance/service/answers.py); its *exit* is what the command line ends with.
Only the id, the sentence and the remedy ever leave the process on the wire: the
API server copies them into its log and into users' replies. The detail goes to
our own log and terminal.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Exit(IntEnum):
    """What a command ends with."""

    OK = 0
    ERROR = 1
    USAGE = 2
    SEALED = 3
    UNPROVISIONED = 4
    REFUSED = 5
    WRONG_KEY = 6
    INTEGRITY = 7
    BUSY = 8
    UNREACHABLE = 9
    DEGRADED = 10


class Kind(Enum):
    """Whose trouble a fault is, and whether it may heal."""

    CONFIGURATION = "configuration that cannot work"
    MALFORMED = "the caller's request is not one we take"
    UNKNOWN_KEY = "the caller names a key we do not hold"
    TAMPERED = "the caller's ciphertext is not what a key of ours made"
    KEY_OFF = "the named key was switched off by an operator"
    WAITING = "not able yet; may heal by itself or by the remedy"
    DEGRADED = "able, but somebody should look"
    WRONG = "must not be served from: other data, other keys"
    GONE = "nobody waits for the answer any more"
    OVERLOAD = "more calls wait than are kept"
    BUG = "a mistake of ours"


@dataclass(frozen=True)
class Fault:
    id: str
    kind: Kind
    exit: Exit
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.id}: {self.sentence}. {self.remedy}."


class KleidiError(Exception):
    """A fault that happened, with the *detail* that only our own log and terminal see."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault} ({detail})" if detail else str(fault))


_ALL: dict[str, Fault] = {}


def _fault(name: str, kind: Kind, exits: Exit, sentence: str, remedy: str) -> Fault:
    return _ALL.setdefault(name, Fault(name, kind, exits, sentence, remedy))


def every() -> list[Fault]:
    """All faults, in the order of this file."""
    return list(_ALL.values())


_C, _W, _D, _X, _M = Kind.CONFIGURATION, Kind.WAITING, Kind.DEGRADED, Kind.WRONG, Kind.MALFORMED

# A table reads better with a fault in three lines.
# fmt: off
# Configuration
CONFIG = _fault("E-CONFIG", _C, Exit.USAGE,
    "the configuration cannot work",
    "Mend the setting that the line names")

# The volume
VOLUME_MISSING = _fault("E-VOLUME-MISSING", _W, Exit.REFUSED,
    "the volume is not there",
    "Mount it at KLEIDI_VOLUME_DIR; nothing was created")
VOLUME_NOT_MOUNTED = _fault("E-VOLUME-NOT-MOUNTED", _W, Exit.REFUSED,
    "the volume's directory is not a mount point, so a key made there could vanish with the container",
    "Mount a persistent volume, or allow it with KLEIDI_ALLOW_UNMOUNTED=true")
VOLUME_UNREADABLE = _fault("E-VOLUME-UNREADABLE", _W, Exit.REFUSED,
    "the volume cannot be read, which is not the same as empty",
    "Mend its permissions or its disk")
VOLUME_READ_ONLY = _fault("E-VOLUME-READ-ONLY", _W, Exit.REFUSED,
    "the volume cannot be written",
    "Mount it read-write, owned by the user that runs the appliance")
VOLUME_FULL = _fault("E-VOLUME-FULL", _W, Exit.REFUSED,
    "the volume is full",
    "Free some space on it")
VOLUME_FOREIGN = _fault("E-VOLUME-FOREIGN", _W, Exit.REFUSED,
    "the volume holds something that is not ours",
    "Look at what it is; move it away only if you are sure that it is not an older key")
VOLUME_LOCKED = _fault("E-VOLUME-LOCKED", _W, Exit.BUSY,
    "another process holds the volume",
    "Stop the other instance; one volume serves one appliance")
VOLUME_EMPTY = _fault("E-VOLUME-EMPTY", _W, Exit.UNPROVISIONED,
    "the volume is empty and no key may be created (KLEIDI_PROVISION=never)",
    "On the cluster's first node run it with KLEIDI_PROVISION=auto; elsewhere restore or join")
AWAITING_JOIN = _fault("E-AWAITING-JOIN", _W, Exit.UNPROVISIONED,
    "this node waits to join (KLEIDI_PROVISION=join) and holds no key yet",
    "Bring it the cluster's keys from a node that has them")
PROVISIONING = _fault("E-PROVISIONING", _W, Exit.UNPROVISIONED,
    "the first key is being made",
    "Wait a few seconds; if it lasts, read the provisioner's log")
VOLUME_EMPTIED = _fault("E-VOLUME-EMPTIED", _X, Exit.REFUSED,
    "the volume is empty, but the anchor remembers keys that were on it",
    "Mount the right volume or restore a backup; no second key is made while the first is remembered")
LINEAGE_FOREIGN = _fault("E-LINEAGE-FOREIGN", _X, Exit.INTEGRITY,
    "the volume belongs to another lineage than the one remembered here",
    "Mount the right volume; if the change is meant, remove the anchor")
ROLLED_BACK = _fault("E-VOLUME-ROLLED-BACK", _D, Exit.DEGRADED,
    "the volume is older than what was seen here before; newer keys may be missing",
    "Bring back the newest volume or backup")
ANCHOR_UNREADABLE = _fault("E-ANCHOR-UNREADABLE", _W, Exit.REFUSED,
    "the anchor cannot be read",
    "Mend its permissions; if it is damaged, compare the lineage and remove it")
ANCHOR_UNWRITABLE = _fault("E-ANCHOR-UNWRITABLE", _D, Exit.DEGRADED,
    "the anchor cannot be written, so an emptied or swapped volume would go unnoticed",
    "Make the directory of KLEIDI_ANCHOR_FILE writable, or set KLEIDI_EXPECT_LINEAGE")

# The seal
SEAL_KEY_MISSING = _fault("E-SEAL-KEY-MISSING", _W, Exit.SEALED,
    "the seal key is not there, so the volume stays sealed",
    "Put the key file back")
SEAL_KEY_INVALID = _fault("E-SEAL-KEY-INVALID", _W, Exit.SEALED,
    "the seal key is not one: it must be exactly 32 bytes, in a file that can be read",
    "Put the right key file in place")
SEAL_KEY_UNWRITABLE = _fault("E-SEAL-KEY-UNWRITABLE", _W, Exit.REFUSED,
    "there is no seal key and none can be written",
    "Make its directory writable, or put 32 random bytes there")
SEAL_KEY_WRONG = _fault("E-SEAL-KEY-WRONG", _W, Exit.WRONG_KEY,
    "the seal key does not open this volume",
    "Put the key file that belongs to this volume in place")
SEAL_KEY_USED = _fault("E-SEAL-KEY-USED", _X, Exit.REFUSED,
    "the volume is empty, but its seal key was used before",
    "Mount the right volume or restore a backup; for a new cluster use a new seal key")
SEAL_CORRUPT = _fault("E-SEAL-CORRUPT", _X, Exit.INTEGRITY,
    "the newest generation on the volume is damaged",
    "Restore it from a backup; an older one is never taken silently, for it may lack the newest key")
SEAL_NEWER = _fault("E-SEAL-NEWER", _X, Exit.INTEGRITY,
    "the volume was written by a newer kleidi",
    "Upgrade kleidi to the version that wrote it, or later")

# Memory and the token
MEMORY_UNSAFE = _fault("E-MEMORY-UNSAFE", _W, Exit.REFUSED,
    "the directory for the open token is not in memory",
    "Point KLEIDI_MEMORY_DIR at a tmpfs")
MEMORY_FULL = _fault("E-MEMORY-FULL", _W, Exit.REFUSED,
    "the directory for the open token is full or cannot be written",
    "Give the tmpfs of KLEIDI_MEMORY_DIR a few MiB, writable by the appliance")
MODULE_MISSING = _fault("E-MODULE-MISSING", _W, Exit.ERROR,
    "libsofthsm2 cannot be loaded",
    "Install libsofthsm2, or set KLEIDI_SOFTHSM_MODULE")
TOKEN_LOST = _fault("E-TOKEN-LOST", _W, Exit.ERROR,
    "the token went away and is being opened again",
    "Wait a few seconds")
TOKEN_SLOW = _fault("E-TOKEN-SLOW", _W, Exit.ERROR,
    "the token did not answer in time",
    "Look at the load on this node")
PROBE_STALE = _fault("E-PROBE-STALE", _W, Exit.ERROR,
    "the token has not proved itself recently",
    "Look at the load on this node; restart the appliance if it lasts")
STARTING = _fault("E-STARTING", _W, Exit.ERROR,
    "the token is being opened",
    "Wait a few seconds")
TRIAL_FAILED = _fault("E-TRIAL-FAILED", _W, Exit.ERROR,
    "a token just made did not pass its trial, so nothing was committed",
    "Try again; if it lasts, the SoftHSM module does not work here")
PRIMARY_WRONG = _fault("E-PRIMARY-WRONG", _X, Exit.INTEGRITY,
    "the primary key does not give its known answer",
    "Restore the volume from a backup")
KEY_UNREADABLE = _fault("E-KEY-UNREADABLE", _D, Exit.DEGRADED,
    "an older key does not give its known answer; what it encrypted cannot be read",
    "Restore the volume from a backup")

# The sockets
SOCKET_IN_USE = _fault("E-SOCKET-IN-USE", _W, Exit.BUSY,
    "another instance serves this socket",
    "Stop the other instance, or give this one a KLEIDI_SOCKET of its own")
SOCKET_DIRECTORY = _fault("E-SOCKET-DIRECTORY", _W, Exit.REFUSED,
    "the socket's directory is missing or cannot be written",
    "Create it, owned by the user that runs the appliance")
SOCKET_TAKEN = _fault("E-SOCKET-TAKEN", _D, Exit.DEGRADED,
    "another program bound our socket's path; new connections go to it",
    "Stop that program")
SERVER_UNREACHABLE = _fault("E-SERVER-UNREACHABLE", _W, Exit.UNREACHABLE,
    "the server does not answer on the admin socket",
    "Start it with `kleidi serve`, or look why it is not up")

# What callers get wrong, and what we do
REQUEST_INVALID = _fault("E-REQUEST-INVALID", _M, Exit.ERROR,
    "the request is not the message that KMS v2 defines",
    "Check which client connects to this socket")
PLAINTEXT_SIZE = _fault("E-PLAINTEXT-SIZE", _M, Exit.ERROR,
    "the plaintext must be 1 to 995 bytes",
    "The API server sends 32")
ENVELOPE_INVALID = _fault("E-ENVELOPE-INVALID", _M, Exit.ERROR,
    "the ciphertext is not an envelope of ours",
    "Check that this provider name was never used by another plugin")
KEY_ID_INVALID = _fault("E-KEY-ID-INVALID", _M, Exit.ERROR,
    "the key id is empty, too long or not ASCII",
    "Send the key id that came with the ciphertext")
ANNOTATIONS = _fault("E-ANNOTATIONS", _M, Exit.ERROR,
    "our ciphertexts carry no annotations, this one does",
    "Check that this provider name was never used by another plugin")
KEY_UNKNOWN = _fault("E-KEY-UNKNOWN", Kind.UNKNOWN_KEY, Exit.ERROR,
    "this token never held the named key",
    "Check that the right volume is mounted, or bring the key from the node or backup that has it")
CIPHERTEXT_TAMPERED = _fault("E-CIPHERTEXT-TAMPERED", Kind.TAMPERED, Exit.ERROR,
    "the ciphertext fails its authentication",
    "Restore the object from an etcd backup")
KEY_DISABLED = _fault("E-KEY-DISABLED", Kind.KEY_OFF, Exit.ERROR,
    "the named key was disabled by an operator",
    "Enable it again if its data is still needed")
KEY_DESTROYED = _fault("E-KEY-DESTROYED", Kind.KEY_OFF, Exit.ERROR,
    "the named key was destroyed by an operator",
    "Its data can only come from a backup of the key")
CALLER_GONE = _fault("E-CALLER-GONE", Kind.GONE, Exit.ERROR,
    "the caller's deadline passed before its turn came",
    "Look at the load on this node")
QUEUE_FULL = _fault("E-QUEUE-FULL", Kind.OVERLOAD, Exit.BUSY,
    "too many calls wait for the token",
    "Look which client floods the socket")
INTERNAL = _fault("E-INTERNAL", Kind.BUG, Exit.ERROR,
    "a mistake of ours",
    "Report it with the log's traceback")
# fmt: on
