"""What keys survive by: backups, slots, the audit log, and copies that left the node."""

from appliance import faults
from appliance.manifests.monitoring.alert import Alert, Severity
from appliance.manifests.monitoring.panel import Form, Panel, Query, Row

ALERTS = (
    Alert(
        "KleidiBackupLacksKeys",
        Severity.WARNING,
        "kleidi_backup_missing_keys > 0"
        " or (kleidi_build_info unless on (instance) kleidi_backup_verified_timestamp_seconds)",
        "{{ $labels.instance }}: not every key is in a verified backup",
        "A key is in no bundle that was verified on this node, or none ever was.",
        "Make one with `kleidi backup create`, and open it with `kleidi backup verify`.",
        hold="1h",
    ),
    Alert(
        "KleidiBackupOld",
        Severity.WARNING,
        "time() - kleidi_backup_verified_timestamp_seconds > 30 * 86400",
        "{{ $labels.instance }}: the last verified backup is {{ $value | humanizeDuration }} old",
        "No bundle was verified for a month. Its keys do not age; the disk and the identity it needs may.",
        "Verify one with `kleidi backup verify`; once in a while restore it with `kleidi backup drill`.",
    ),
    Alert(
        "KleidiOneSlotOnly",
        Severity.INFO,
        "count by (instance) (kleidi_slot_info) < 2",
        "{{ $labels.instance }}: one way into the seal",
        "If the only slot is lost, so is the volume.",
        "Add a second one, of another kind, with `kleidi slot add`.",
        hold="1d",
    ),
    Alert(
        "KleidiKeysLeft",
        Severity.INFO,
        "increase(kleidi_exports_total[10m]) > 0",
        "{{ $labels.instance }}: keys left the node ({{ $labels.what }})",
        "A bundle with keys was written, for a backup or for another node.",
        "If nobody meant to: `kleidi audit tail` says who it was.",
    ),
    Alert(
        "KleidiAuditBroken",
        Severity.CRITICAL,
        "kleidi_audit_intact == 0",
        "{{ $labels.instance }}: the audit log was changed",
        "The chain of the audit log does not close: an entry was changed, or taken out.",
        "Keep a copy of the volume as it is, and find out with `kleidi audit verify` where it breaks.",
        fault=faults.AUDIT_BROKEN,
    ),
)

KEPT = Row(
    "Kept safe",
    (
        Panel(
            "Age of the verified backup",
            Form.NUMBER,
            (Query("time() - kleidi_backup_verified_timestamp_seconds", "{{instance}}"),),
            "Since `kleidi backup verify` last opened a bundle.",
            unit="s",
            width=6,
            empty="none was ever verified",
        ),
        Panel(
            "Keys in no backup",
            Form.NUMBER,
            (Query("kleidi_backup_missing_keys", "{{instance}}"),),
            "0 is well.",
            width=6,
        ),
        Panel(
            "Ways into the seal",
            Form.TABLE,
            (Query("kleidi_slot_info"), Query("time() - kleidi_slot_tested_timestamp_seconds")),
            "Each slot, and how long ago it was last tried.",
            unit="s",
        ),
        Panel(
            "Free space",
            Form.LINES,
            (
                Query("kleidi_volume_free_bytes", "{{instance}} volume"),
                Query("kleidi_memory_free_bytes", "{{instance}} memory"),
            ),
            "A change of keys needs a few MiB of each.",
            unit="bytes",
        ),
        Panel(
            "Memory of the server",
            Form.LINES,
            (Query('process_resident_memory_bytes{job="kleidi"}', "{{instance}}"),),
            "Flat after the first hour.",
            unit="bytes",
        ),
        Panel(
            "Versions",
            Form.TABLE,
            (Query("kleidi_build_info"),),
            "What runs where.",
            width=24,
        ),
    ),
)
