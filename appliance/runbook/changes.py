"""Commands on keys, backups, nodes and slots: where to look and what to do."""

from appliance import faults
from appliance.faults import changes
from appliance.runbook.effects import NOTHING
from appliance.runbook.entry import Advice, Room, Wake

_KEYS = ("kleidi key list", "kleidi audit tail")
_AUDIT = ("kleidi audit verify", "kleidi audit tail -n 100", "ls -ln /var/lib/kleidi")
_SLOTS = ("kleidi slot list", "kleidi status")
_BACKUP = ("kleidi status --field backup", "kleidi backup verify FILE --identity FILE")
_NODES = ("kleidi status --field keyset", "kleidi key list")
_EVIDENCE = (
    "Copy the volume's audit files aside before the next change",
    "Find out who could write there: root on the node, or a restore of single files",
    "If nobody explains it: take the node for broken into, compare its key set with the others', and rotate",
)
_ANOTHER_COPY = "Make a new one now with `kleidi backup create`, and look after the disk that this one lay on"
_COUNT = (
    "`kleidi usage -o json >usage.json`, of the whole cluster, then `kleidi key check KEY --usage usage.json`"
)
_CARRY = (
    "`kleidi node invite` on the node that lacks something, `kleidi node export` on the one that has it, "
    "`kleidi node join` on the first"
)

ROOM = Room(
    "Commands on keys, backups, nodes and slots",
    changes,
    ("kleidi status", "kleidi audit tail"),
    {
        faults.COMMAND_LINE: Advice(look=("kleidi -h", "kleidi manual")),
        faults.KEY_NO_SUCH: Advice(look=_KEYS),
        faults.KEY_STATE: Advice(look=_KEYS),
        faults.KEY_IS_PRIMARY: Advice(look=_KEYS),
        faults.KEY_STAGED_ALREADY: Advice(look=_KEYS),
        faults.KEY_ADOPTED_ALREADY: Advice(look=_KEYS),
        faults.KEY_ID_MISMATCH: Advice(look=_KEYS),
        faults.KEY_WOULD_DIE: Advice(
            look=(*_SLOTS, "kleidi transit check", "kleidi hsm check", "kleidi tpm show"),
            do=(
                "See with `kleidi status` what E-SEAL-KEY-GONE names: that is what is missing",
                "`kleidi slot test` of another slot shows that there is a way in; then --force is no gamble",
            ),
        ),
        faults.KEY_TOO_EARLY: Advice(look=("kleidi key check KEY", "kleidi key list")),
        faults.KEY_IN_USE: Advice(
            look=("kleidi key check KEY", "kleidi usage"),
            do=(
                _COUNT,
                "A key that leaked is disabled without proof: --force with a --reason, and reads may fail",
            ),
        ),
        faults.KEYSET_DIFFERS: Advice(look=_NODES, do=(_CARRY, "Promote when all nodes show one hash")),
        faults.AUDIT_FAILED: Advice(look=("df -h /var/lib/kleidi", "kleidi status"), wake=Wake.TODAY),
        faults.AUDIT_BROKEN: Advice(effect=NOTHING, look=_AUDIT, do=_EVIDENCE, wake=Wake.NOW),
        faults.INPUT_UNREADABLE: Advice(look=("ls -ln FILE",)),
        faults.USAGE_INVALID: Advice(look=("kleidi usage -o json",)),
        faults.AUDIT_CUT: Advice(
            look=_AUDIT,
            do=(
                *_EVIDENCE,
                "Do it before the next change: the seal then knows the log as it is, and the warning goes",
            ),
        ),
        faults.AUDIT_UNREADABLE: Advice(look=_AUDIT),
        faults.TOKEN_NOT_ADOPTED: Advice(
            look=("ls -lRn TOKENS", "softhsm2-util --show-slots", "kleidi key list")
        ),
        faults.BACKUP_RECIPIENT: Advice(look=("kleidi backup create -h", "kleidi status --field backup")),
        faults.BACKUP_PASSPHRASE: Advice(look=("kleidi backup create -h",)),
        faults.BACKUP_IDENTITY: Advice(look=_BACKUP),
        faults.BACKUP_KEY_WRONG: Advice(
            look=_BACKUP,
            do=(
                (
                    "If no identity opens it: make a bundle to one that you hold, and try it with `kleidi "
                    "backup drill`"
                ),
            ),
        ),
        faults.BACKUP_MEMORY: Advice(look=("free -m", "cat /sys/fs/cgroup/memory.max")),
        faults.BACKUP_UNREADABLE: Advice(look=("ls -ln FILE", "kleidi status --field backup")),
        faults.BACKUP_CORRUPT: Advice(look=_BACKUP, do=(_ANOTHER_COPY,), wake=Wake.TODAY),
        faults.BACKUP_NEWER: Advice(look=("kleidi version",)),
        faults.BACKUP_INCOMPLETE: Advice(look=_BACKUP, do=(_ANOTHER_COPY,), wake=Wake.TODAY),
        faults.BACKUP_FOREIGN: Advice(
            look=(*_BACKUP, "kleidi anchor show"),
            do=(
                (
                    "Compare its lineage with the key ids that `kleidi usage` finds in etcd: the one there "
                    "is right"
                ),
            ),
        ),
        faults.BACKUP_FAILED: Advice(
            look=("kleidi status", "df -h /etc/kleidi/backup", "ls -ldn /etc/kleidi/backup"),
            do=(
                (
                    "No change is committed until it can be written: that is meant, a key without a copy is "
                    "a loss"
                ),
            ),
            wake=Wake.TODAY,
        ),
        faults.BACKUP_EXISTS: Advice(look=("ls -ln FILE", "kleidi status --field backup")),
        faults.BACKUP_NONE: Advice(
            look=("kleidi status --field backup", "ls -ln /etc/kleidi/backup"),
            do=("Then `kleidi backup drill`: only a bundle that was opened is one",),
            wake=Wake.TODAY,
        ),
        faults.BACKUP_NOTHING_LIVE: Advice(look=_BACKUP),
        faults.RESTORE_NOT_EMPTY: Advice(
            look=("kleidi key list", "kleidi backup verify FILE --against-live"),
            do=(
                "Newer keys from a bundle: take them from a node by `kleidi node join`, not by a restore",
                "To give up what is here: copy the volume aside, empty it, then restore",
            ),
        ),
        faults.KEY_NOT_BACKED_UP: Advice(look=("kleidi status --field backup", "kleidi key list")),
        faults.SNAPSHOT_INVALID: Advice(
            effect=NOTHING, look=("etcdutl snapshot status FILE", "kleidi usage -h")
        ),
        faults.SNAPSHOT_PACKED: Advice(effect=NOTHING, look=("file FILE", "kleidi usage -h")),
        faults.INVITATION_EXPIRED: Advice(look=("kleidi audit tail", "kleidi status"), do=(_CARRY,)),
        faults.INVITATION_FOREIGN: Advice(look=("kleidi audit tail", "kleidi status"), do=(_CARRY,)),
        faults.JOIN_AUTO: Advice(
            look=("kleidi status",),
            do=(
                "If this is the first node and it serves: it is the other one that joins",
                "If its volume was lost: see E-VOLUME-EMPTIED",
            ),
        ),
        faults.BUNDLE_STALE: Advice(
            look=_NODES, do=("`kleidi key enable` goes back, which no bundle may: say it on every node",)
        ),
        faults.KEYSET_CONFLICT: Advice(
            look=(*_NODES, "kleidi usage", "kleidi audit tail"),
            do=(
                "Promote neither of the two until it is solved",
                "Count with `kleidi usage` which of the two key ids etcd names; that node stays as it is",
                "Make a bundle of the other one (`kleidi backup create`), empty its volume, let it join",
                "From then on one node stages, one at a time",
            ),
            wake=Wake.TODAY,
        ),
        faults.KEYSET_SHARED: Advice(
            look=_NODES,
            do=(
                "`kleidi key stage` on one node; to each of the others: " + _CARRY,
                "`kleidi key promote KEY --expect-keyset HASH` on every node, in any order",
            ),
        ),
        faults.NODE_BUNDLE: Advice(look=("ls -ln FILE", "kleidi node join -h", "kleidi audit tail")),
        faults.SLOT_NO_SUCH: Advice(look=_SLOTS),
        faults.SLOT_NAME: Advice(look=_SLOTS),
        faults.SLOT_LAST: Advice(look=_SLOTS),
        faults.SLOT_ALONE: Advice(
            felt=(
                "nothing, when a command was refused. At a first boot no key is made, and no call is answered"
            ),
            look=_SLOTS,
        ),
        faults.SLOT_IN_USE: Advice(
            look=_SLOTS,
            do=(
                (
                    "Set KLEIDI_SLOT to another kind, restart, see with `kleidi slot list` that it came up "
                    "by that, then remove"
                ),
            ),
        ),
        faults.SLOT_WRONG: Advice(
            look=_SLOTS,
            do=(
                (
                    "If the right one is lost: with the volume open, remove the slot and add one that you "
                    "can test"
                ),
            ),
        ),
        faults.SLOT_SECRET: Advice(look=_SLOTS),
        faults.SLOT_MEMORY: Advice(look=("free -m", "cat /sys/fs/cgroup/memory.max", *_SLOTS)),
        faults.SEAL_KEY_GONE: Advice(
            look=("kleidi status", "kleidi slot list", "ls -ln /etc/kleidi"),
            do=(
                "Do not restart container, kubelet or node before: what is open serves on",
                "See with `kleidi slot test` which of the other slots opens today",
                "File lost: `kleidi slot add --kind file --key-file /etc/kleidi/seal.key --name new`",
                "TPM, Transit or device changed: `kleidi slot renew` with its name; away: bring it back",
                "`kleidi backup create`, in case the node restarts by itself",
            ),
            when="before the node may restart",
        ),
    },
)
