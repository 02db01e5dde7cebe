"""Keys: what is asked for, whether nodes and API servers agree, how a rotation goes on."""

from appliance import faults
from appliance.faults import Fault
from appliance.manifests.monitoring.alert import Alert, Recording, Severity
from appliance.manifests.monitoring.panel import RATE, Form, Panel, Query, Row

_PRIMARY = 'kleidi_key_info{state="primary"}'
_HEARD = 'apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{provider_name="kleidi"}'
_READS = (
    "apiserver_envelope_encryption_key_id_hash_total"
    '{provider_name="kleidi",transformation_type="from_storage"}'
)
# Every node that holds a key exports its hash: one of them is enough to name it.
KNOWN = "max by (key_id_hash, key, state) (kleidi_key_info)"
NAMED = f"* on (key_id_hash) group_left (key, state) {KNOWN}"
JOIN = f"{_HEARD}\n{NAMED}"

NEWEST = Recording(
    "kleidi:stored_objects:newest",
    "max by (job, resource, key_id_hash) (kleidi_stored_objects and on (job, instance)"
    " (kleidi_stored_counted_timestamp_seconds"
    " == on (job) group_left () max by (job) (kleidi_stored_counted_timestamp_seconds)))",
    "Objects in etcd by resource and key, as `kleidi usage` counted them last, on whichever node that was.",
)
OLD_RATIO = Recording(
    "kleidi:stored_objects:old_ratio",
    f"sum by (job) ({NEWEST.name} unless on (key_id_hash) {_PRIMARY}) / sum by (job) ({NEWEST.name})",
    "The part of them that is not under a primary key, from 0 to 1.",
)
OLD_READS = Recording(
    "kleidi:old_key_reads:rate1h",
    "sum by (key_id_hash, key, state) (\n"
    f"  rate({_READS}[1h])\n"
    "  * on (key_id_hash) group_left (key, state)"
    ' max by (key_id_hash, key, state) (kleidi_key_info{state!="primary"})\n'
    ")",
    "How often API servers still read what an older key encrypted: while it is above 0, that key is needed.",
)
RECORDINGS = (NEWEST, OLD_RATIO, OLD_READS)


def _refused(*wanted: Fault) -> str:
    ids = "|".join(each.id for each in wanted)
    return f'increase(kleidi_call_refusals_total{{id=~"{ids}"}}[10m]) > 0'


ALERTS = (
    Alert(
        "KleidiUnknownKey",
        Severity.CRITICAL,
        _refused(faults.KEY_UNKNOWN),
        "{{ $labels.instance }}: {{ $labels.method }} with a key that was never here",
        "Something in etcd names a key that this node does not hold: etcd is of another time or cluster, or"
        " this node lacks a key that others have. Those objects cannot be read.",
        "Count what is stored with `kleidi usage`, compare key sets with `kleidi status`, and destroy nothing"
        " before it is known.",
        fault=faults.KEY_UNKNOWN,
    ),
    Alert(
        "KleidiTampered",
        Severity.CRITICAL,
        _refused(faults.CIPHERTEXT_TAMPERED),
        "{{ $labels.instance }}: {{ $labels.method }} of what no key of ours made",
        "A stored object was changed after it was encrypted: a bad disk, a bad restore, or a hand.",
        "The uid in the API server's error is in our log, too; bring the object back from a backup of etcd.",
        fault=faults.CIPHERTEXT_TAMPERED,
    ),
    Alert(
        "KleidiDisabledKeyAsked",
        Severity.CRITICAL,
        _refused(faults.KEY_DISABLED, faults.KEY_DESTROYED),
        "{{ $labels.instance }}: {{ $labels.id }} was answered to {{ $labels.method }}",
        "A key that was switched off is still needed: its objects were not all written anew.",
        "While it is only disabled, `kleidi key enable` brings them back at once.",
        by_id=True,
    ),
    Alert(
        "KleidiKeyUnreadable",
        Severity.CRITICAL,
        "kleidi_key_readable == 0",
        "{{ $labels.instance }}: the key of {{ $labels.key_id_hash }} does not give its known answer",
        "What this key encrypted cannot be read on this node. New objects are written as before.",
        "Bring the key back from a bundle or from another node, before the other copies go, too.",
        fault=faults.KEY_UNREADABLE,
    ),
    Alert(
        "KleidiApiServerOnOtherKey",
        Severity.WARNING,
        # The newest hash that each API server heard, not all it heard lately: that would fire for every
        # rotation until the window has passed.
        f"(max by (instance, key_id_hash) ({_HEARD})\n"
        f"  == on (instance) group_left () max by (instance) ({_HEARD}))\n"
        f"unless on (key_id_hash) {_PRIMARY}\n"
        f"and on () (count({_PRIMARY}) > 0)",
        "{{ $labels.instance }} encrypts under {{ $labels.key_id_hash }}, which is no node's primary key",
        "This API server writes with a key that is not the primary one: it has not heard of a rotation, or it"
        " talks to an appliance that nobody reads the numbers of.",
        "It asks once a minute. If it stays: see which socket it has, and `kleidi status` there.",
        hold="5m",
    ),
    Alert(
        "KleidiPrimariesDiffer",
        Severity.WARNING,
        f"count by (job) (count by (job, key_id_hash) ({_PRIMARY})) > 1",
        "Nodes encrypt under {{ $value }} different keys",
        "A promotion was not carried to every node. All is readable everywhere if the key sets are the same.",
        "Run `kleidi key promote` on the nodes that lag.",
        hold="30m",
    ),
    Alert(
        "KleidiKeySetsDiffer",
        Severity.WARNING,
        "count by (job) (count by (job, keyset) (kleidi_keyset_info)) > 1",
        "Nodes hold {{ $value }} different key sets",
        "A node lacks a key that another has: what that one encrypts with it cannot be read here.",
        "Carry the keys over with `kleidi node export` and `kleidi node join`, before anything is promoted.",
        hold="1h",
    ),
    Alert(
        "KleidiRotationStalled",
        Severity.WARNING,
        f"sum by (job) ({NEWEST.name} unless on (key_id_hash) {_PRIMARY}) > 0\n"
        "and on (job) (time() - max by (job) (kleidi_stored_counted_timestamp_seconds) < 86400)",
        "{{ $value }} objects are not under the primary key",
        "For three days, counts have found objects under older keys, or not encrypted at all.",
        "Write them anew (docs/rotation.md), and count again with `kleidi usage`.",
        hold="3d",
    ),
)

KEYS = Row(
    "Keys",
    (
        Panel(
            "Stored objects by key",
            Form.LINES,
            (
                Query(
                    f"sum by (key, state) ({NEWEST.name} {NAMED})",
                    "{{key}} {{state}}",
                ),
                Query(f'sum({NEWEST.name}{{key_id_hash=""}})', "not encrypted"),
            ),
            "The last `kleidi usage`: a rotation is done when all is under the primary key.",
            stacked=True,
            empty="nothing was counted yet",
        ),
        Panel(
            "Not under the primary key",
            Form.NUMBER,
            (Query(OLD_RATIO.name),),
            "The part of all objects that is yet to be written anew.",
            unit="percentunit",
            width=6,
            empty="nothing was counted yet",
        ),
        Panel(
            "Written anew in",
            Form.NUMBER,
            (Query(f"{OLD_RATIO.name} / (-deriv({OLD_RATIO.name}[1h]) > 0)"),),
            "How long it takes yet at the pace of the last hour.",
            unit="s",
            width=6,
            empty="no migration goes on",
        ),
        Panel(
            "Encrypts and decrypts by key",
            Form.LINES,
            tuple(
                Query(
                    f"sum by (key) (rate(kleidi_key_{what}_total{RATE})"
                    " * on (instance, key_id_hash) group_left (key) kleidi_key_info)",
                    f"{{{{key}}}} {what}",
                )
                for what in ("encrypts", "decrypts")
            ),
            "Few are normal: an API server makes one seed and derives the rest itself.",
            unit="ops",
        ),
        Panel(
            "Key sets",
            Form.TABLE,
            (Query("kleidi_keyset_info"), Query("kleidi_generation")),
            "All nodes show one key set, or one of them lacks a key.",
        ),
    ),
)
