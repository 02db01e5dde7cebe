"""What can be wrong with the configuration, the volume and its seal."""

from appliance.faults.fault import Exit, Kind, fault

_C, _W, _A, _X, _R = Kind.CONFIGURATION, Kind.WAITING, Kind.WARNING, Kind.WRONG, Kind.REFUSED

# A table reads better with a fault in three lines.
# fmt: off
# Configuration
CONFIG = fault("E-CONFIG", _C, Exit.USAGE,
    "the configuration cannot work",
    "Mend the setting that the line names")

# The volume
VOLUME_MISSING = fault("E-VOLUME-MISSING", _W, Exit.REFUSED,
    "the volume is not there",
    "Mount it at KLEIDI_VOLUME_DIR; nothing was created")
VOLUME_NOT_MOUNTED = fault("E-VOLUME-NOT-MOUNTED", _W, Exit.REFUSED,
    "the volume's directory is not a mount point, so a key made there could vanish with the container",
    "Mount a persistent volume, or allow it with KLEIDI_ALLOW_UNMOUNTED=true")
VOLUME_UNREADABLE = fault("E-VOLUME-UNREADABLE", _W, Exit.REFUSED,
    "the volume cannot be read, which is not the same as empty",
    "Mend its permissions or its disk")
VOLUME_READ_ONLY = fault("E-VOLUME-READ-ONLY", _W, Exit.REFUSED,
    "the volume cannot be written",
    "Mount it read-write, owned by the user that runs the appliance")
VOLUME_FULL = fault("E-VOLUME-FULL", _W, Exit.REFUSED,
    "the volume is full",
    "Free some space on it")
VOLUME_UNSURE = fault("E-VOLUME-UNSURE", _A, Exit.DEGRADED,
    "the change is done, but the disk did not confirm that it will last",
    "Look at the disk, then at `kleidi status`: a power cut now may take the change back")
VOLUME_FOREIGN = fault("E-VOLUME-FOREIGN", _W, Exit.REFUSED,
    "the volume holds something that is not ours",
    "Look at what it is; move it away only if you are sure that it is not an older key")
VOLUME_LOCKED = fault("E-VOLUME-LOCKED", _W, Exit.BUSY,
    "another process holds the volume",
    "Stop the other instance, or point KLEIDI_ADMIN_SOCKET at its own; one volume serves one appliance")
VOLUME_EMPTY = fault("E-VOLUME-EMPTY", _W, Exit.UNPROVISIONED,
    "the volume is empty and no key may be created (KLEIDI_PROVISION=never)",
    "On the cluster's first node run it with KLEIDI_PROVISION=auto; elsewhere restore or join")
AWAITING_JOIN = fault("E-AWAITING-JOIN", _W, Exit.UNPROVISIONED,
    "this node waits to join (KLEIDI_PROVISION=join) and holds no key yet",
    "Bring it the cluster's keys from a node that has them")
PROVISIONING = fault("E-PROVISIONING", _W, Exit.UNPROVISIONED,
    "the first key is being made",
    "Wait a few seconds; if it lasts, read the provisioner's log")
VOLUME_EMPTIED = fault("E-VOLUME-EMPTIED", _X, Exit.REFUSED,
    "the volume holds no keys, but the anchor or its own log remembers some",
    "Mount the right volume or restore a backup; no second key is made while the first is remembered")
LINEAGE_FOREIGN = fault("E-LINEAGE-FOREIGN", _X, Exit.INTEGRITY,
    "the volume belongs to another lineage than the one remembered here",
    "Mount the right volume; if the change is meant, remove the anchor")
ROLLED_BACK = fault("E-VOLUME-ROLLED-BACK", _A, Exit.DEGRADED,
    "the volume is older than what was seen here before; newer keys may be missing",
    "Bring back the newest volume or backup; until then nothing is changed (see `kleidi anchor show`)")
VOLUME_OLD = fault("E-VOLUME-OLD", _R, Exit.REFUSED,
    "the volume is known to be older than what was seen here, and what is built upon it would hide the loss",
    "Bring back the newest volume or backup; if this is all there is, say so with `kleidi anchor accept`")
VOLUME_CHANGED = fault("E-VOLUME-CHANGED", _R, Exit.REFUSED,
    "the volume is not the one that this change began on, so nothing of it holds",
    "Look what is mounted at KLEIDI_VOLUME_DIR and bring back what was; what is open is served all the same")
VOLUME_GONE = fault("E-VOLUME-GONE", _A, Exit.DEGRADED,
    "the volume is not what is being served from memory; the next start would not find these keys",
    "Run `kleidi backup create` now, then bring back the volume that was mounted here")
VOLUME_SPENT = fault("E-VOLUME-SPENT", _R, Exit.REFUSED,
    "the number of the next generation has no place in a file's name",
    "Look where so high a number comes from, the volume or the anchor; restore a backup into an empty volume")
ANCHOR_NOTHING = fault("E-ANCHOR-NOTHING", _R, Exit.REFUSED,
    "nothing that was seen here before is missing",
    "There is nothing to accept; see `kleidi status`")
ANCHOR_TYPED = fault("E-ANCHOR-TYPED", _R, Exit.REFUSED,
    "the lineage typed is not the volume's",
    "Copy it from `kleidi status`; what is accepted as lost is not looked for any more")
KEY_MISSED = fault("E-KEY-MISSED", _A, Exit.DEGRADED,
    "the API server asked for a key of this lineage that this volume does not hold",
    "Bring back the newest volume or backup; what that key encrypted cannot be read here")
ANCHOR_UNREADABLE = fault("E-ANCHOR-UNREADABLE", _A, Exit.REFUSED,
    "the anchor cannot be read",
    "Mend its permissions; if it is damaged, compare the lineage and remove it")
ANCHOR_UNWRITABLE = fault("E-ANCHOR-UNWRITABLE", _A, Exit.DEGRADED,
    "the anchor cannot be written, so an emptied or swapped volume would go unnoticed",
    "Make the directory of KLEIDI_ANCHOR_FILE writable, or set KLEIDI_EXPECT_LINEAGE")

# The seal
SEAL_KEY_MISSING = fault("E-SEAL-KEY-MISSING", _W, Exit.SEALED,
    "the seal key is not there, so the volume stays sealed",
    "Put the key file back, or open it by hand with `kleidi unseal`")
SEAL_KEY_INVALID = fault("E-SEAL-KEY-INVALID", _W, Exit.SEALED,
    "the seal key is not one: it must be exactly 32 bytes, in a file that can be read",
    "Put the right key file in place")
SEAL_KEY_UNWRITABLE = fault("E-SEAL-KEY-UNWRITABLE", _W, Exit.REFUSED,
    "there is no seal key and none can be written",
    "Make its directory writable, or put 32 random bytes there")
SEAL_KEY_WRONG = fault("E-SEAL-KEY-WRONG", _W, Exit.WRONG_KEY,
    "no slot of this volume opens with what this machine has",
    "Bring back what belongs to this volume (its key file, TPM, server or device), or open it by hand with "
    "`kleidi unseal`")
SEAL_KEY_USED = fault("E-SEAL-KEY-USED", _X, Exit.REFUSED,
    "the volume is empty, but its seal key was used before",
    "Mount the right volume or restore a backup; for a new cluster use a new seal key")
SEAL_CORRUPT = fault("E-SEAL-CORRUPT", _X, Exit.INTEGRITY,
    "the newest generation on the volume is damaged",
    "Restore it from a backup; an older one is never taken silently, for it may lack the newest key")
SEAL_NEWER = fault("E-SEAL-NEWER", _X, Exit.INTEGRITY,
    "the volume was written by a newer kleidi",
    "Upgrade kleidi to the version that wrote it, or later")
# fmt: on
