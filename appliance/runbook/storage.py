"""Configuration and volume: where to look and what to do."""

from appliance import faults
from appliance.faults import storage
from appliance.runbook import seal
from appliance.runbook.effects import NOBODY, NOTHING
from appliance.runbook.entry import Advice, Room, Wake
from appliance.runbook.seal import KEEP, REMEMBERED, RESTORE

_VOLUME = ("kleidi status", "findmnt -T /var/lib/kleidi", "ls -ln /var/lib/kleidi")
_ONLY_CHANGE = (
    "nothing while a key is open: the change was refused, and what is served goes on. On a volume "
    "without a key none is made, and no call is answered"
)
_JOIN = "`kleidi node invite` here, `kleidi node export` on a node that serves, `kleidi node join` here"

ROOM = Room(
    "Configuration, volume and seal",
    storage,
    ("kleidi status",),
    {
        faults.CONFIG: Advice(
            effect=NOBODY,
            look=("crictl ps -a --name kleidi", "crictl logs --tail 20 CONTAINER", "kleidi version"),
            wake=Wake.NOW,
            when="when it is the container that ends; never for a command",
            do=("If a command says it, look into its own environment as well; the server is not hurt then",),
        ),
        faults.VOLUME_MISSING: Advice(
            look=_VOLUME,
            do=(
                (
                    "Mount what was there, then start the pod anew (`crictl stop`): a running container "
                    "sees no later mount"
                ),
            ),
        ),
        faults.VOLUME_NOT_MOUNTED: Advice(look=_VOLUME),
        faults.VOLUME_UNREADABLE: Advice(
            look=(*_VOLUME, "dmesg --level err"),
            do=(
                "After a change of --user: `kleidi install` with the one that runs it puts the owners right",
                KEEP,
                "What can be mended neither way is lost",
                *RESTORE,
            ),
        ),
        faults.VOLUME_READ_ONLY: Advice(
            felt=_ONLY_CHANGE,
            look=(*_VOLUME, "dmesg --level err"),
            wake=Wake.TODAY,
            when="at once when nothing is served",
            do=("A file system that the kernel made read-only has an error: mend it, a backup first",),
        ),
        faults.VOLUME_FULL: Advice(
            felt=_ONLY_CHANGE,
            look=("kleidi status", "df -h /var/lib/kleidi", "df -i /var/lib/kleidi"),
            wake=Wake.TODAY,
            when="at once when nothing is served",
            do=(
                "Remove what is not ours, or make the volume larger; remove no generation-*.seal by hand",
                "Older parts of the audit log may go, the oldest first (docs/audit.md)",
            ),
        ),
        faults.VOLUME_UNSURE: Advice(
            look=("kleidi status", "kleidi key list", "dmesg --level err"),
            do=("`kleidi backup create` now: the bundle holds the change whatever the disk does",),
        ),
        faults.VOLUME_FOREIGN: Advice(
            look=_VOLUME,
            do=(
                (
                    "A token of SoftHSM's from another plugin is taken over with `kleidi adopt`, from a "
                    "directory of its own"
                ),
            ),
        ),
        faults.VOLUME_LOCKED: Advice(
            look=("kleidi status", "crictl ps --name kleidi", "fuser -v /var/lib/kleidi"),
            felt=(
                "nothing when the other process is the server. At a start no call is answered until it lets "
                "go"
            ),
            wake=Wake.TODAY,
            when="at once when nothing is served",
        ),
        faults.VOLUME_EMPTY: Advice(
            look=REMEMBERED,
            do=(
                "See first that it is the right volume: a new key opens nothing that etcd holds",
                f"One of several nodes: {_JOIN}",
                "The last one, with a bundle: `kleidi backup restore`",
            ),
        ),
        faults.AWAITING_JOIN: Advice(
            look=("kleidi status", "kleidi audit tail"),
            do=(_JOIN, "Before there is a kubelet: `kleidi node join --invite -` (docs/kubeadm.md, 4)"),
            wake=Wake.TODAY,
            when="at once when the node served before",
        ),
        faults.PROVISIONING: Advice(
            look=("kleidi status --wait 30", "crictl logs --tail 50 CONTAINER"),
            wake=Wake.TODAY,
            when="when it lasts a minute",
        ),
        faults.VOLUME_EMPTIED: Advice(
            look=(*REMEMBERED, "findmnt -T /var/lib/kleidi"),
            do=(
                "Look for the old volume first: another mount, a snapshot, the disk before the move",
                *RESTORE,
                "On the first node of several set KLEIDI_PROVISION=join before it joins",
            ),
        ),
        faults.LINEAGE_FOREIGN: Advice(
            look=REMEMBERED,
            do=(
                (
                    "Compare the lineage with `kleidi status` of the other nodes and with the key ids of "
                    "`kleidi usage`: the one that etcd names is right"
                ),
                "Only when the volume's is the one: remove anchor.json beside the seal key, and start again",
            ),
        ),
        faults.ROLLED_BACK: Advice(
            felt=(
                "nothing, as far as the keys go that are here. Reads under one that is missing fail "
                "(E-KEY-MISSED), and writes go on under an older key"
            ),
            wake=Wake.TODAY,
            when="at once when `kleidi anchor show` names a missing key",
            look=REMEMBERED,
            do=(
                (
                    "`kleidi anchor show` names the keys that are missing; `kleidi usage` whether anything "
                    "needs them"
                ),
                "If another node holds them: copy this volume aside, empty it, and let it join",
                "If this is all there is: `kleidi anchor accept --dry-run`, then without it, with a --reason",
            ),
        ),
        faults.VOLUME_OLD: Advice(
            effect=NOTHING,
            look=REMEMBERED,
            do=("`kleidi anchor show` names what is missing, `kleidi usage` what needs it",),
            wake=Wake.TODAY,
        ),
        faults.VOLUME_CHANGED: Advice(
            look=_VOLUME,
            do=(
                "`kleidi backup create` now: what is open in memory is whole",
                "Restart nothing before",
            ),
            wake=Wake.TODAY,
        ),
        faults.VOLUME_GONE: Advice(
            look=_VOLUME,
            do=(
                "Do not restart container, kubelet or node before the bundle is on another disk",
                (
                    "The very directory back in its place ends the warning; another volume needs a restart, "
                    "after the backup"
                ),
            ),
            wake=Wake.NOW,
            when="as the next restart may lose the keys",
        ),
        faults.VOLUME_SPENT: Advice(look=REMEMBERED),
        faults.ANCHOR_NOTHING: Advice(look=("kleidi anchor show", "kleidi status")),
        faults.ANCHOR_TYPED: Advice(look=("kleidi anchor show", "kleidi status")),
        faults.KEY_MISSED: Advice(
            felt=(
                "reads of what that key encrypted fail with 500 and NOT_FOUND, and lists that hold one of "
                "them. Status is `ok`, writes go on"
            ),
            look=("kleidi status", "kleidi key list", "kleidi anchor show", "kleidi usage"),
            do=(
                f"If another node has the key: {_JOIN}",
                "`kleidi backup verify FILE --usage usage.json` names the bundle that holds it",
                "Rotate, rewrite and destroy nothing until it is found",
            ),
            wake=Wake.NOW,
        ),
        faults.ANCHOR_UNREADABLE: Advice(
            look=REMEMBERED,
            felt="nothing while a key is open. On an empty volume none is made, and no call is answered",
        ),
        faults.ANCHOR_UNWRITABLE: Advice(
            look=("kleidi anchor show", "ls -ln /etc/kleidi", "findmnt -T /etc/kleidi")
        ),
    }
    | seal.ADVICE,
)
