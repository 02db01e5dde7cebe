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
    REFUSED = "an operator's command that would do harm, or cannot be done now"
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
    """A fault that happened, with the *detail* that only our own log and terminal see.

    *said* is what may leave the process beside the fault's own words: a date, never a path or a message.
    """

    def __init__(self, fault: Fault, detail: str = "", *, said: str = "") -> None:
        # It may come from a file name, a library or another process, and stays one line of text.
        detail = detail if detail.isprintable() else ascii(" ".join(detail.split()))
        self.fault = fault
        self.detail = detail or said
        self.said = said
        super().__init__(f"{fault} ({detail})" if detail else str(fault))


_ALL: dict[str, Fault] = {}


def _fault(name: str, kind: Kind, exits: Exit, sentence: str, remedy: str) -> Fault:
    return _ALL.setdefault(name, Fault(name, kind, exits, sentence, remedy))


def every() -> list[Fault]:
    """All faults, in the order of this file."""
    return list(_ALL.values())


_C, _W, _D, _X = Kind.CONFIGURATION, Kind.WAITING, Kind.DEGRADED, Kind.WRONG
_M, _R = Kind.MALFORMED, Kind.REFUSED

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
    "the volume holds no keys, but the anchor or its own log remembers some",
    "Mount the right volume or restore a backup; no second key is made while the first is remembered")
LINEAGE_FOREIGN = _fault("E-LINEAGE-FOREIGN", _X, Exit.INTEGRITY,
    "the volume belongs to another lineage than the one remembered here",
    "Mount the right volume; if the change is meant, remove the anchor")
ROLLED_BACK = _fault("E-VOLUME-ROLLED-BACK", _D, Exit.DEGRADED,
    "the volume is older than what was seen here before; newer keys may be missing",
    "Bring back the newest volume or backup")
ANCHOR_UNREADABLE = _fault("E-ANCHOR-UNREADABLE", _D, Exit.REFUSED,
    "the anchor cannot be read",
    "Mend its permissions; if it is damaged, compare the lineage and remove it")
ANCHOR_UNWRITABLE = _fault("E-ANCHOR-UNWRITABLE", _D, Exit.DEGRADED,
    "the anchor cannot be written, so an emptied or swapped volume would go unnoticed",
    "Make the directory of KLEIDI_ANCHOR_FILE writable, or set KLEIDI_EXPECT_LINEAGE")

# The seal
SEAL_KEY_MISSING = _fault("E-SEAL-KEY-MISSING", _W, Exit.SEALED,
    "the seal key is not there, so the volume stays sealed",
    "Put the key file back, or open it by hand with `kleidi unseal`")
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
ANNOTATIONS_FOREIGN = _fault("E-ANNOTATIONS-FOREIGN", _M, Exit.ERROR,
    "an adopted key's ciphertext carries exactly the one annotation of the plugin that made it",
    "Check that the object was stored by that plugin")
CALLER_GONE = _fault("E-CALLER-GONE", Kind.GONE, Exit.ERROR,
    "the caller's deadline passed before its turn came",
    "Look at the load on this node")
QUEUE_FULL = _fault("E-QUEUE-FULL", Kind.OVERLOAD, Exit.BUSY,
    "too many calls wait for the token",
    "Look which client floods the socket")
INTERNAL = _fault("E-INTERNAL", Kind.BUG, Exit.ERROR,
    "a mistake of ours",
    "Report it with the log's traceback")

# What operators ask for
KEY_NO_SUCH = _fault("E-KEY-NO-SUCH", _R, Exit.REFUSED,
    "there is no such key",
    "Name one of those that `kleidi key list` shows")
KEY_STATE = _fault("E-KEY-STATE", _R, Exit.REFUSED,
    "the key's state does not allow this",
    "See `kleidi key list`: staged, primary, retired, disabled, destroyed, in this order")
KEY_IS_PRIMARY = _fault("E-KEY-IS-PRIMARY", _R, Exit.REFUSED,
    "this is the primary key",
    "Promote another one first, and rewrite what this one encrypted")
KEY_STAGED_ALREADY = _fault("E-KEY-STAGED-ALREADY", _R, Exit.REFUSED,
    "there is a staged key already",
    "Promote it, or give it up with `kleidi key retire`")
KEY_ADOPTED_ALREADY = _fault("E-KEY-ADOPTED-ALREADY", _R, Exit.REFUSED,
    "a key of this id is held already",
    "There is nothing to do")
KEY_ID_MISMATCH = _fault("E-KEY-ID-MISMATCH", _R, Exit.REFUSED,
    "the key id typed is not the key's",
    "Copy it from `kleidi key list`; destroying cannot be undone")
KEY_TOO_EARLY = _fault("E-KEY-TOO-EARLY", _R, Exit.REFUSED,
    "the key was not disabled for long enough, by the wall clock and by the time served since",
    "Wait; enable it again if somebody misses it")
KEY_IN_USE = _fault("E-KEY-IN-USE", _R, Exit.REFUSED,
    "it is not shown that nothing needs this key any more",
    "See `kleidi key check`, rewrite the objects, count them with `kleidi usage`")
KEYSET_DIFFERS = _fault("E-KEYSET-DIFFERS", _R, Exit.REFUSED,
    "the key set is not the expected one",
    "Compare `kleidi status` of all nodes and carry the newest key set to each first")
AUDIT_FAILED = _fault("E-AUDIT-FAILED", _R, Exit.REFUSED,
    "the audit log cannot be written, so nothing was changed",
    "Free some space on the volume, or mend its permissions")
AUDIT_BROKEN = _fault("E-AUDIT-BROKEN", _X, Exit.INTEGRITY,
    "the audit log was changed after it was written",
    "Compare it with the copy in your log store")
USAGE_INVALID = _fault("E-USAGE-INVALID", _R, Exit.ERROR,
    "this is not what `kleidi usage --output json` prints",
    "Count again and give the whole output")
AUDIT_UNREADABLE = _fault("E-AUDIT-UNREADABLE", _R, Exit.REFUSED,
    "the audit log cannot be read",
    "Read it as the user that runs the appliance, on the volume itself")
TOKEN_NOT_ADOPTED = _fault("E-TOKEN-NOT-ADOPTED", _R, Exit.REFUSED,
    "the token cannot be adopted",
    "Check directory, PIN and labels; nothing was changed, here or there")

# etcd
ETCD_UNREACHABLE = _fault("E-ETCD-UNREACHABLE", _W, Exit.UNREACHABLE,
    "etcd does not answer at any of the endpoints",
    "Check --endpoints, and that this node reaches them")
ETCD_TLS = _fault("E-ETCD-TLS", _W, Exit.WRONG_KEY,
    "etcd and kleidi do not accept each other's certificates",
    "Check --cacert, --cert and --key; on kubeadm they are in /etc/kubernetes/pki/etcd")
ETCD_DENIED = _fault("E-ETCD-DENIED", _R, Exit.WRONG_KEY,
    "etcd does not let this client read",
    "Use a client certificate whose user may read everything under the prefix")
ETCD_COMPACTED = _fault("E-ETCD-COMPACTED", _W, Exit.ERROR,
    "etcd compacted the revision that was being read, so the count is not complete",
    "Count again; if it lasts, run it nearer to etcd, or read a snapshot with etcdctl")
ETCD_INCOMPLETE = _fault("E-ETCD-INCOMPLETE", _W, Exit.ERROR,
    "not everything could be read from etcd, so there is no count",
    "Count again; if it lasts, look at etcd's log")
ETCD_EMPTY = _fault("E-ETCD-EMPTY", _R, Exit.REFUSED,
    "nothing is stored under the prefix, which no cluster's etcd is like",
    "Check --prefix against the API server's --etcd-prefix")
ETCDCTL_INVALID = _fault("E-ETCDCTL-INVALID", _M, Exit.ERROR,
    "the input is not one whole answer of `etcdctl get /registry --prefix -w json`",
    "Take it again, without --limit and --keys-only")

# Installing on a node
INSTALL_DISTRIBUTION = _fault("E-INSTALL-DISTRIBUTION", _C, Exit.USAGE,
    "it cannot be told what runs this node's control plane",
    "Name it with --distribution")
INSTALL_VALUE = _fault("E-INSTALL-VALUE", _C, Exit.USAGE,
    "a value cannot stand in a manifest",
    "Choose one that the line allows")
INSTALL_DENIED = _fault("E-INSTALL-DENIED", _R, Exit.REFUSED,
    "the node's files cannot be written",
    "Run it as root; what is done already is not done twice")
INSTALL_FAILED = _fault("E-INSTALL-FAILED", _W, Exit.ERROR,
    "the node's disk refused a change",
    "Mend what the line names and run it again; it goes on from there")
INSTALL_OCCUPIED = _fault("E-INSTALL-OCCUPIED", _R, Exit.REFUSED,
    "something that is not ours is where a file or directory of ours must be",
    "Look at what it is, and move it away if nobody needs it")
INSTALL_ROLE = _fault("E-INSTALL-ROLE", _R, Exit.REFUSED,
    "this node was installed to join a cluster, so it must not make a key of its own",
    "Bring it the cluster's keys; if it really is a new cluster's first node, run `kleidi uninstall` before")
INSTALL_KEY_LOST = _fault("E-INSTALL-KEY-LOST", _R, Exit.SEALED,
    "there are traces of a sealed volume, but its seal key is gone, and a new one would not open it",
    "Put the seal key back from its backup")
INSTALL_IN_USE = _fault("E-INSTALL-IN-USE", _R, Exit.REFUSED,
    "this node's EncryptionConfiguration still names this provider",
    "Decrypt everything first and take the provider out; --force removes the appliance all the same")

# Backups
BACKUP_RECIPIENT = _fault("E-BACKUP-RECIPIENT", _C, Exit.USAGE,
    "there is nobody to encrypt the bundle to, or a recipient is not an age public key",
    "Name one with --to age1... or in KLEIDI_BACKUP_RECIPIENTS, or use a passphrase")
BACKUP_PASSPHRASE = _fault("E-BACKUP-PASSPHRASE", _C, Exit.USAGE,
    "the passphrase is too short, was not typed the same way twice, or nobody is there to type it",
    "Take twelve characters or more, at a terminal or with --passphrase-file")
BACKUP_IDENTITY = _fault("E-BACKUP-IDENTITY", _R, Exit.WRONG_KEY,
    "there is no age identity to open the bundle with",
    "Name the file that age-keygen wrote with --identity, or use the passphrase")
BACKUP_KEY_WRONG = _fault("E-BACKUP-KEY-WRONG", _R, Exit.WRONG_KEY,
    "what was given does not open the bundle",
    "Use the identity of one of its recipients, or the passphrase it was made with")
BACKUP_MEMORY = _fault("E-BACKUP-MEMORY", _R, Exit.REFUSED,
    "the passphrase's key derivation needs more memory than there is here",
    "Run it where there is more, or raise the pod's memory limit")
BACKUP_UNREADABLE = _fault("E-BACKUP-UNREADABLE", _R, Exit.REFUSED,
    "the bundle cannot be read",
    "Check the file's name and permissions")
BACKUP_CORRUPT = _fault("E-BACKUP-CORRUPT", _R, Exit.INTEGRITY,
    "the file is not a bundle, or a damaged one",
    "Take another copy of it; nothing was taken from this one")
BACKUP_NEWER = _fault("E-BACKUP-NEWER", _R, Exit.INTEGRITY,
    "the bundle was made by a newer kleidi",
    "Upgrade kleidi to the version that made it, or later")
BACKUP_INCOMPLETE = _fault("E-BACKUP-INCOMPLETE", _R, Exit.INTEGRITY,
    "the bundle does not hold every key that it lists",
    "Take another bundle; nothing was taken from this one")
BACKUP_FOREIGN = _fault("E-BACKUP-FOREIGN", _R, Exit.INTEGRITY,
    "the bundle belongs to another lineage",
    "Take a bundle of this cluster; if the change is meant, remove the anchor and the seal key's mark")
BACKUP_FAILED = _fault("E-BACKUP-FAILED", _R, Exit.REFUSED,
    "the bundle cannot be written, so nothing was changed",
    "Make KLEIDI_BACKUP_DIR, or the place that was named, writable with some space left")
BACKUP_EXISTS = _fault("E-BACKUP-EXISTS", _R, Exit.REFUSED,
    "the file exists already, and a bundle never replaces anything",
    "Name another file, or a directory")
BACKUP_NONE = _fault("E-BACKUP-NONE", _R, Exit.REFUSED,
    "there is no bundle of this lineage in the backup directory",
    "Make one with `kleidi backup create`; check KLEIDI_BACKUP_DIR")
BACKUP_NOTHING_LIVE = _fault("E-BACKUP-NOTHING-LIVE", _R, Exit.REFUSED,
    "there are no live keys to compare the bundle with",
    "Look at `kleidi status`; without --against-live the bundle is verified by itself")
RESTORE_NOT_EMPTY = _fault("E-RESTORE-NOT-EMPTY", _R, Exit.REFUSED,
    "the volume holds keys already, and a restore never adds to or replaces any",
    "Restore into an empty volume, or look into the bundle with `kleidi backup verify`")
KEY_NOT_BACKED_UP = _fault("E-KEY-NOT-BACKED-UP", _R, Exit.REFUSED,
    "no verified backup holds every key (KLEIDI_REQUIRE_BACKUP=true)",
    "Run `kleidi key stage`, `kleidi backup create`, `kleidi backup verify` first, or use --without-backup")
SNAPSHOT_INVALID = _fault("E-SNAPSHOT-INVALID", _M, Exit.ERROR,
    "the file is not one whole etcd snapshot",
    "Take it again with `etcdctl snapshot save`")

# Several nodes
INVITATION_EXPIRED = _fault("E-INVITATION-EXPIRED", _R, Exit.REFUSED,
    "this node has no open invitation: none was made, it was used, it ran out, or the server was restarted",
    "Run `kleidi node invite` here and export to the new recipient")
INVITATION_FOREIGN = _fault("E-INVITATION-FOREIGN", _R, Exit.WRONG_KEY,
    "the bundle was not made for the invitation that is open here",
    "Export again, to the recipient that `kleidi node invite` printed last on this node")
JOIN_AUTO = _fault("E-JOIN-AUTO", _R, Exit.REFUSED,
    "this node may make a key of its own (KLEIDI_PROVISION=auto), so it does not join",
    "Set KLEIDI_PROVISION=join and start it again")
BUNDLE_STALE = _fault("E-BUNDLE-STALE", _R, Exit.REFUSED,
    "the bundle is older than what this node holds, so nothing was changed",
    "Export from the node with the newest key set; see `kleidi key list` on both")
KEYSET_CONFLICT = _fault("E-KEYSET-CONFLICT", _R, Exit.REFUSED,
    "two nodes gave one version to different keys, and neither is ever thrown away",
    "Find which of them encrypted nothing (`kleidi usage`), and let that node join anew with an empty volume")
KEYSET_SHARED = _fault("E-KEYSET-SHARED", _R, Exit.REFUSED,
    "these keys are on several nodes, and each must hold a new one before any of them encrypts with it",
    "Stage it, export it to each of them, then promote with --expect-keyset, which `kleidi status` shows")
NODE_BUNDLE = _fault("E-NODE-BUNDLE", _R, Exit.REFUSED,
    "the bundle cannot be read or written",
    "Check the path that the line names")

# Slots
SLOT_NO_SUCH = _fault("E-SLOT-NO-SUCH", _R, Exit.REFUSED,
    "there is no such slot",
    "Name one of those that `kleidi slot list` shows")
SLOT_NAME = _fault("E-SLOT-NAME", _R, Exit.REFUSED,
    "a slot's name is taken or is not one",
    "Choose another with --name: up to 32 of a-z, 0-9 and -")
SLOT_LAST = _fault("E-SLOT-LAST", _R, Exit.REFUSED,
    "no tested slot would remain",
    "Add another one, or prove one of the others with `kleidi slot test`")
SLOT_IN_USE = _fault("E-SLOT-IN-USE", _R, Exit.REFUSED,
    "the appliance opens the volume with this slot, and would not come up by itself without it",
    "Put another slot's key file in place of the configured one first, or use --force with a --reason")
SLOT_WRONG = _fault("E-SLOT-WRONG", _R, Exit.WRONG_KEY,
    "the secret does not open this slot",
    "Check which secret belongs to it; nothing was changed")
SLOT_SECRET = _fault("E-SLOT-SECRET", _R, Exit.REFUSED,
    "the secret cannot be used",
    "See what the line says of it; nothing was changed")
SLOT_MEMORY = _fault("E-SLOT-MEMORY", _R, Exit.REFUSED,
    "there is too little memory to derive a key from the passphrase, and the kernel would end the process",
    "Give the pod some MiB more, or run it elsewhere")
SEAL_KEY_GONE = _fault("E-SEAL-KEY-GONE", _D, Exit.DEGRADED,
    "the configured seal key does not open the volume any more; the next start would stay sealed",
    "Put the key file back, or make a new one with `kleidi slot add --kind file`")
# fmt: on
