"""What callers get wrong, and what we do: where to look and what to do."""

from appliance import faults
from appliance.faults import calls
from appliance.runbook.effects import NOTHING, ONE_READ
from appliance.runbook.entry import Advice, Room, Wake

_PROVIDER = (
    "See which object it is in the API server's log and in `kleidi usage`, which names the provider of each",
    (
        "If another plugin wrote under this provider name, give ours a name of its own and keep that plugin "
        "behind it"
    ),
)

ROOM = Room(
    "What callers ask",
    calls,
    ("kleidi status", "ss -xp src /run/kleidi/kms.sock"),
    {
        faults.PLAINTEXT_SIZE: Advice(
            do=("An API server never sends another size: look what else connects to the socket",),
        ),
        faults.ENVELOPE_INVALID: Advice(
            effect=ONE_READ, look=("kleidi usage", ("kleidi status")), do=_PROVIDER
        ),
        faults.ANNOTATIONS: Advice(effect=ONE_READ, look=("kleidi usage", "kleidi status"), do=_PROVIDER),
        faults.ANNOTATIONS_FOREIGN: Advice(effect=ONE_READ, look=("kleidi key list", "kleidi usage")),
        faults.KEY_ID_INVALID: Advice(effect=ONE_READ, look=("kleidi usage", "kleidi status")),
        faults.KEY_UNKNOWN: Advice(
            look=("kleidi status", "kleidi key list", "kleidi anchor show", "kleidi usage"),
            do=(
                (
                    "Compare lineage and key set in `kleidi status` of all nodes: the one that wrote holds "
                    "the key"
                ),
                (
                    "From a node that holds it: `kleidi node invite` here, `kleidi node export` there, "
                    "`kleidi node join` here"
                ),
                "If no node has it, try every bundle: `kleidi backup verify FILE --usage usage.json`",
                (
                    "If it is of another lineage, etcd or the volume was restored from another cluster: "
                    "make them fit"
                ),
                "Rotate and rewrite nothing until it is found",
            ),
        ),
        faults.CIPHERTEXT_TAMPERED: Advice(
            look=("kleidi status", "kleidi key check v1", "kleidi usage"),
            do=(
                (
                    "Find the object: the uid of our line stands in the API server's 500; read objects one "
                    "by one"
                ),
                "If it is one object, bring it back or delete it; a list works again then",
                "If it is many, the disk of etcd or the way to it is not sound: look there first",
                "If nobody can tell how it came about, take it for an attack on etcd",
            ),
        ),
        faults.KEY_DISABLED: Advice(
            look=("kleidi key list", "kleidi audit tail", "kleidi usage"),
            do=(
                "`kleidi key enable`, on every node: no bundle carries it",
                "Rewrite what is stored under it, count again, and disable it then",
            ),
        ),
        faults.KEY_DESTROYED: Advice(
            look=("kleidi key list", "kleidi audit tail", "kleidi usage"),
            do=(
                (
                    "See with `kleidi backup verify FILE --usage usage.json` whether an older bundle holds "
                    "the key"
                ),
                (
                    "Read the objects where that bundle was restored (another machine, an etcd of its own), "
                    "and store them here anew"
                ),
                "What no bundle opens is lost: delete the objects in etcd, or lists go on failing",
            ),
        ),
        faults.CALLER_GONE: Advice(
            look=("kleidi status", "uptime", "cat /proc/pressure/cpu"),
            do=("See that the provider's timeout in the EncryptionConfiguration is not below 3s",),
        ),
        faults.QUEUE_FULL: Advice(
            do=(
                "If it is the API server after its start, with many seeds: wait, it asks again",
                "If it is another client, end it: whoever can write to the socket can decrypt",
            ),
        ),
        faults.INTERNAL: Advice(look=("kleidi status", "kleidi version", "crictl logs --tail 200 CONTAINER")),
        faults.OUTPUT: Advice(effect=NOTHING, look=("kleidi status", "kleidi audit tail"), wake=Wake.NEVER),
    },
)
