"""Why an operator's command on keys, backups, nodes or slots is refused."""

from appliance.faults.fault import Exit, Kind, fault

_C, _A, _X, _M, _R = Kind.CONFIGURATION, Kind.WARNING, Kind.WRONG, Kind.MALFORMED, Kind.REFUSED

# A table reads better with a fault in three lines.
# fmt: off
# What operators ask for
COMMAND_LINE = fault("E-COMMAND-LINE", _C, Exit.USAGE,
    "the command cannot be understood as it was typed",
    "See it with --help")
KEY_NO_SUCH = fault("E-KEY-NO-SUCH", _R, Exit.REFUSED,
    "there is no such key",
    "Name one of those that `kleidi key list` shows")
KEY_STATE = fault("E-KEY-STATE", _R, Exit.REFUSED,
    "the key's state does not allow this",
    "See `kleidi key list`: staged, primary, retired, disabled, destroyed, in this order")
KEY_IS_PRIMARY = fault("E-KEY-IS-PRIMARY", _R, Exit.REFUSED,
    "this is the primary key",
    "Promote another one first, and rewrite what this one encrypted")
KEY_STAGED_ALREADY = fault("E-KEY-STAGED-ALREADY", _R, Exit.REFUSED,
    "there is a staged key already",
    "Promote it, or give it up with `kleidi key retire`")
KEY_ADOPTED_ALREADY = fault("E-KEY-ADOPTED-ALREADY", _R, Exit.REFUSED,
    "a key of this id is held already",
    "There is nothing to do")
KEY_ID_MISMATCH = fault("E-KEY-ID-MISMATCH", _R, Exit.REFUSED,
    "the key id typed is not the key's",
    "Copy it from `kleidi key list`; destroying cannot be undone")
KEY_WOULD_DIE = fault("E-KEY-WOULD-DIE", _R, Exit.REFUSED,
    "what a new key encrypts would be lost at the next start: the configured slot does not open the volume",
    "Bring back what opened it, or make another way with `kleidi slot add`; --force with a --reason goes on "
    "all the same")
KEY_TOO_EARLY = fault("E-KEY-TOO-EARLY", _R, Exit.REFUSED,
    "the key was not disabled for long enough, by the wall clock and by the time served since",
    "Wait; enable it again if somebody misses it")
KEY_IN_USE = fault("E-KEY-IN-USE", _R, Exit.REFUSED,
    "it is not shown that nothing needs this key any more",
    "See `kleidi key check`, rewrite the objects, count them with `kleidi usage`")
KEYSET_DIFFERS = fault("E-KEYSET-DIFFERS", _R, Exit.REFUSED,
    "the key set is not the expected one",
    "Compare `kleidi status` of all nodes and carry the newest key set to each first")
AUDIT_FAILED = fault("E-AUDIT-FAILED", _R, Exit.REFUSED,
    "the audit log cannot be written, so nothing was changed",
    "Free some space on the volume, or mend its permissions")
AUDIT_BROKEN = fault("E-AUDIT-BROKEN", _X, Exit.INTEGRITY,
    "the audit log was changed after it was written",
    "Compare it with the copy in your log store")
INPUT_UNREADABLE = fault("E-INPUT-UNREADABLE", _R, Exit.ERROR,
    "a file that was named cannot be read",
    "Check its name, that it is a file or a pipe, and its permissions")
USAGE_INVALID = fault("E-USAGE-INVALID", _R, Exit.ERROR,
    "this is not what `kleidi usage --output json` prints",
    "Count again and give the whole output")
AUDIT_CUT = fault("E-AUDIT-CUT", _A, Exit.INTEGRITY,
    "the audit log lacks the entry that the seal remembers: it was cut off, removed or written anew",
    "Compare it with the copy in your log store; put back the files that were moved away, if it was that")
AUDIT_UNREADABLE = fault("E-AUDIT-UNREADABLE", _A, Exit.REFUSED,
    "the audit log cannot be read",
    "Read it as the user that runs the appliance, on the volume itself")
TOKEN_NOT_ADOPTED = fault("E-TOKEN-NOT-ADOPTED", _R, Exit.REFUSED,
    "the token cannot be adopted",
    "Check directory, PIN and labels; nothing was changed, here or there")

# Backups
BACKUP_RECIPIENT = fault("E-BACKUP-RECIPIENT", _C, Exit.USAGE,
    "there is nobody to encrypt the bundle to, or a recipient is not an age public key",
    "Name one with --to age1... or in KLEIDI_BACKUP_RECIPIENTS, or use a passphrase")
BACKUP_PASSPHRASE = fault("E-BACKUP-PASSPHRASE", _C, Exit.USAGE,
    "the passphrase is too short, was not typed the same way twice, or nobody is there to type it",
    "Take twelve characters or more, at a terminal or with --passphrase-file")
BACKUP_IDENTITY = fault("E-BACKUP-IDENTITY", _R, Exit.WRONG_KEY,
    "there is no age identity to open the bundle with",
    "Name the file that age-keygen wrote with --identity, or use the passphrase")
BACKUP_KEY_WRONG = fault("E-BACKUP-KEY-WRONG", _R, Exit.WRONG_KEY,
    "what was given does not open the bundle",
    "Use the identity of one of its recipients, or the passphrase it was made with")
BACKUP_MEMORY = fault("E-BACKUP-MEMORY", _R, Exit.REFUSED,
    "the passphrase's key derivation needs more memory than there is here",
    "Run it where there is more, or raise the pod's memory limit")
BACKUP_UNREADABLE = fault("E-BACKUP-UNREADABLE", _R, Exit.REFUSED,
    "the bundle cannot be read",
    "Check the file's name and permissions")
BACKUP_CORRUPT = fault("E-BACKUP-CORRUPT", _R, Exit.INTEGRITY,
    "the file is not a bundle, or a damaged one",
    "Take another copy of it; nothing was taken from this one")
BACKUP_NEWER = fault("E-BACKUP-NEWER", _R, Exit.INTEGRITY,
    "the bundle was made by a newer kleidi",
    "Upgrade kleidi to the version that made it, or later")
BACKUP_INCOMPLETE = fault("E-BACKUP-INCOMPLETE", _R, Exit.INTEGRITY,
    "the bundle does not hold every key that it lists",
    "Take another bundle; nothing was taken from this one")
BACKUP_FOREIGN = fault("E-BACKUP-FOREIGN", _R, Exit.INTEGRITY,
    "the bundle belongs to another lineage",
    "Take a bundle of this cluster; if the change is meant, remove the anchor and the seal key's mark")
BACKUP_FAILED = fault("E-BACKUP-FAILED", _R, Exit.REFUSED,
    "the bundle cannot be written, so nothing was changed",
    "Make KLEIDI_BACKUP_DIR, or the place that was named, writable with some space left")
BACKUP_EXISTS = fault("E-BACKUP-EXISTS", _R, Exit.REFUSED,
    "the file exists already, and a bundle never replaces anything",
    "Name another file, or a directory")
BACKUP_NONE = fault("E-BACKUP-NONE", _R, Exit.REFUSED,
    "there is no bundle of this lineage in the backup directory",
    "Make one with `kleidi backup create`; check KLEIDI_BACKUP_DIR")
BACKUP_NOTHING_LIVE = fault("E-BACKUP-NOTHING-LIVE", _R, Exit.REFUSED,
    "there are no live keys to compare the bundle with",
    "Look at `kleidi status`; without --against-live the bundle is verified by itself")
RESTORE_NOT_EMPTY = fault("E-RESTORE-NOT-EMPTY", _R, Exit.REFUSED,
    "the volume holds keys already, and a restore never adds to or replaces any",
    "Restore into an empty volume, or look into the bundle with `kleidi backup verify`")
KEY_NOT_BACKED_UP = fault("E-KEY-NOT-BACKED-UP", _R, Exit.REFUSED,
    "no verified backup holds every key (KLEIDI_REQUIRE_BACKUP=true)",
    "Run `kleidi key stage`, `kleidi backup create`, `kleidi backup verify` first, or use --without-backup")
SNAPSHOT_INVALID = fault("E-SNAPSHOT-INVALID", _M, Exit.ERROR,
    "the file is not one whole etcd snapshot",
    "Take another copy of it, or an older one; while etcd lives, `etcdctl snapshot save` makes a new one")
SNAPSHOT_PACKED = fault("E-SNAPSHOT-PACKED", _M, Exit.ERROR,
    "the file is an archive or compressed, and it is not unpacked here",
    "Unpack it where there is room for it, then give the snapshot that comes out")

# Several nodes
INVITATION_EXPIRED = fault("E-INVITATION-EXPIRED", _R, Exit.REFUSED,
    "this node has no open invitation: none was made, it was used, it ran out, or the server was restarted",
    "Run `kleidi node invite` here and export to the new recipient")
INVITATION_FOREIGN = fault("E-INVITATION-FOREIGN", _R, Exit.WRONG_KEY,
    "the bundle was not made for the invitation that is open here",
    "Export again, to the recipient that `kleidi node invite` printed last on this node")
JOIN_AUTO = fault("E-JOIN-AUTO", _R, Exit.REFUSED,
    "this node may make a key of its own (KLEIDI_PROVISION=auto), so it does not join",
    "Set KLEIDI_PROVISION=join and start it again")
BUNDLE_STALE = fault("E-BUNDLE-STALE", _R, Exit.REFUSED,
    "the bundle is older than what this node holds, so nothing was changed",
    "Export from the node with the newest key set; see `kleidi key list` on both")
KEYSET_CONFLICT = fault("E-KEYSET-CONFLICT", _R, Exit.REFUSED,
    "two nodes gave one version to different keys, and neither is ever thrown away",
    "Find which of them encrypted nothing (`kleidi usage`), and let that node join anew with an empty volume")
KEYSET_SHARED = fault("E-KEYSET-SHARED", _R, Exit.REFUSED,
    "these keys are on several nodes, and each must hold a new one before any of them encrypts with it",
    "Stage it, export it to each of them, then promote with --expect-keyset, which `kleidi status` shows")
NODE_BUNDLE = fault("E-NODE-BUNDLE", _R, Exit.REFUSED,
    "the bundle cannot be read or written",
    "Check the path that the line names")

# Slots
SLOT_NO_SUCH = fault("E-SLOT-NO-SUCH", _R, Exit.REFUSED,
    "there is no such slot",
    "Name one of those that `kleidi slot list` shows")
SLOT_NAME = fault("E-SLOT-NAME", _R, Exit.REFUSED,
    "a slot's name is taken or is not one",
    "Choose another with --name: up to 32 of a-z, 0-9 and -")
SLOT_LAST = fault("E-SLOT-LAST", _R, Exit.REFUSED,
    "no tested slot would remain",
    "Add another one, or prove one of the others with `kleidi slot test`")
SLOT_ALONE = fault("E-SLOT-ALONE", _R, Exit.REFUSED,
    "this machine's chip would be the only way into the seal, and everything is lost with it",
    "Add a second way first: `kleidi slot add --kind recovery` and `kleidi slot test`; for a first boot set "
    "KLEIDI_RECOVERY, or KLEIDI_BACKUP_RECIPIENTS")
SLOT_IN_USE = fault("E-SLOT-IN-USE", _R, Exit.REFUSED,
    "the appliance opens the volume with this slot, and would not come up by itself without it",
    "Put another slot's key file in place of the configured one first, or use --force with a --reason")
SLOT_WRONG = fault("E-SLOT-WRONG", _R, Exit.WRONG_KEY,
    "the secret does not open this slot",
    "Check which secret belongs to it; nothing was changed")
SLOT_SECRET = fault("E-SLOT-SECRET", _R, Exit.REFUSED,
    "the secret cannot be used",
    "See what the line says of it; nothing was changed")
SLOT_MEMORY = fault("E-SLOT-MEMORY", _R, Exit.REFUSED,
    "there is too little memory to derive a key from the passphrase, and the kernel would end the process",
    "Give the pod some MiB more, or run it elsewhere")
SEAL_KEY_GONE = fault("E-SEAL-KEY-GONE", _A, Exit.DEGRADED,
    "the configured slot does not open the volume any more; the next start would stay sealed",
    "Bring back what the line names, or make a new way with `kleidi slot add`, as --kind file")
# fmt: on
