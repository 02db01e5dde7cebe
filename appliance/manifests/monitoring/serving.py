"""One node's appliance: whether it serves, how fast, and what it stands on."""

from appliance import faults
from appliance.faults import Kind
from appliance.manifests.monitoring import api_servers
from appliance.manifests.monitoring.alert import Alert, Severity
from appliance.manifests.monitoring.panel import RATE, Form, Panel, Query, Row

# One number for each, so that one line shows them all; in the order of how much they hurt.
STATES = ("OPERATIONAL", "DEGRADED", "STARTING", "UNPROVISIONED", "SEALED", "FAILED")
# No call's fault is ever a reason of the whole appliance.
_REASONS = (Kind.CONFIGURATION, Kind.WAITING, Kind.DEGRADED, Kind.WARNING, Kind.WRONG)
_KMS = 'grpc_service="v2.KeyManagementService"'

ALERTS = (
    Alert(
        "KleidiDown",
        Severity.CRITICAL,
        'up{job="kleidi"} == 0',
        "{{ $labels.instance }}: kleidi gives no numbers",
        "Nobody answers where the numbers are read: the appliance is down, or the way to it is. The API"
        " server goes on for three minutes with what it has in memory, then its writes fail.",
        "Run `kleidi status` on the node; it works while the server is down, too.",
        hold="2m",
        fault=faults.SERVER_UNREACHABLE,
    ),
    Alert(
        "KleidiTextfileOld",
        Severity.CRITICAL,
        'time() - node_textfile_mtime_seconds{file=~".*kleidi.*"} > 300',
        "{{ $labels.instance }}: the file with kleidi's numbers is {{ $value | humanizeDuration }} old",
        "Where the numbers go through a file, this is what KleidiDown is elsewhere: nobody writes it.",
        "Run `kleidi status` on the node, then look at the timer that runs `kleidi-probe --metrics`.",
        hold="2m",
    ),
    Alert(
        "KleidiNotServing",
        Severity.CRITICAL,
        "kleidi_reason and on (instance)"
        ' (max by (instance) (kleidi_state{state=~"OPERATIONAL|DEGRADED"}) == 0)',
        "{{ $labels.instance }}: {{ $labels.id }}, no call is answered",
        "The appliance runs and can answer no call. The API server goes on for three minutes with what it has"
        " in memory, then its writes fail.",
        "Do what the section of that id says; `kleidi status` on the node shows it with its details.",
        hold="1m",
        by_id=True,
    ),
    Alert(
        "KleidiDegraded",
        Severity.WARNING,
        'kleidi_reason and on (instance) (kleidi_state{state="DEGRADED"} == 1)',
        "{{ $labels.instance }}: {{ $labels.id }}, calls are answered",
        "Something is to be mended that does not stop the service, or only for some keys. One alert for each"
        " reason.",
        "Do what the section of that id says before the next restart.",
        hold="5m",
        by_id=True,
    ),
    Alert(
        "KleidiProofOld",
        Severity.CRITICAL,
        "time() - (kleidi_proof_timestamp_seconds > 0) > 60",
        "{{ $labels.instance }}: the key proved itself {{ $value | humanizeDuration }} ago",
        "The round trip through the primary key does not end: its engine hangs, or the machine does.",
        "Look at the engine's own server or device, and at the node's load; a restart opens the token anew.",
        hold="1m",
        fault=faults.PROBE_STALE,
    ),
    Alert(
        "KleidiSlow",
        Severity.WARNING,
        "histogram_quantile(0.99, sum by (instance, grpc_method, le)"
        f" (rate(grpc_server_handling_seconds_bucket{{{_KMS}}}[5m]))) > 0.5",
        "{{ $labels.instance }}: {{ $labels.grpc_method }} takes {{ $value | humanizeDuration }}",
        "One call in a hundred takes longer than half a second. The API server gives up after its `timeout`.",
        "See on the dashboard whether calls wait (a burst) or the engine is slow (Transit, a device).",
        hold="5m",
    ),
    Alert(
        "KleidiRestarting",
        Severity.WARNING,
        'changes(process_start_time_seconds{job="kleidi"}[15m]) >= 3',
        "{{ $labels.instance }}: kleidi started {{ $value }} times within a quarter of an hour",
        "The server ends again and again, and supervisord starts it anew.",
        "Read the container's log from the last `stopped` or traceback on; look for the kernel's OOM killer.",
    ),
    Alert(
        "KleidiApiServerSilent",
        Severity.WARNING,
        'time() - kleidi_last_call_timestamp_seconds{method="Status"} > 180',
        "{{ $labels.instance }}: no API server has asked for three minutes",
        "An API server asks Status at least once a minute. It is down, or it talks to another socket, or its"
        " EncryptionConfiguration does not name us.",
        "Compare its configuration with `kleidi encryption-config`, and the mount of the socket's directory.",
        hold="2m",
    ),
    Alert(
        "KleidiVolumeFilling",
        Severity.WARNING,
        "kleidi_volume_free_bytes < 16 * 1024 * 1024",
        "{{ $labels.instance }}: {{ $value | humanize1024 }}B left on the volume",
        "Calls need no space, but the next change of keys does, and the audit log.",
        "Free some; nothing that kleidi wrote there is safe to delete by hand.",
        hold="10m",
        fault=faults.VOLUME_FULL,
    ),
)


def _state() -> str:
    each = (f'kleidi_state{{state="{state}"}} * {number}' for number, state in enumerate(STATES, 1))
    return f"max by (instance) ({' or '.join(each)})"


def _ours(quantile: str) -> Query:
    rate = f"sum by (grpc_method, le) (rate(grpc_server_handling_seconds_bucket{{{_KMS}}}{RATE}))"
    return Query(f"histogram_quantile({quantile}, {rate})", f"{{{{grpc_method}}}}, kleidi, {quantile}")


def _theirs(quantile: str) -> Query:
    rate = f"sum by (method_name, le) (rate({api_servers.SEEN}_bucket{{{api_servers.PROVIDER}}}{RATE}))"
    return Query(f"histogram_quantile({quantile}, {rate})", f"{{{{method_name}}}}, API server, {quantile}")


WELL = Row(
    "Is it well",
    (
        Panel(
            "State of each node",
            Form.STATES,
            (Query(_state(), "{{instance}}"),),
            "Only OPERATIONAL and DEGRADED answer calls.",
            mapped=tuple((str(number), state) for number, state in enumerate(STATES, 1)),
        ),
        Panel(
            "Open reasons",
            Form.TABLE,
            (Query("kleidi_reason"),),
            "All that is to be mended, with its remedy, one line each. Empty is well.",
            mapped=tuple((each.id, str(each)) for each in faults.every() if each.kind in _REASONS),
            empty="no reason is open",
        ),
        Panel(
            "Age of the last proof",
            Form.LINES,
            (Query("time() - (kleidi_proof_timestamp_seconds > 0)", "{{instance}}"),),
            "Seconds since a real round trip through the primary key; a saw as high as KLEIDI_PROBE_SECONDS.",
            unit="s",
        ),
        Panel(
            "Last heard from an API server",
            Form.LINES,
            (Query("time() - (kleidi_last_call_timestamp_seconds > 0)", "{{instance}} {{method}}"),),
            "Status comes once a minute or more often; Encrypt and Decrypt when there is something to do.",
            unit="s",
        ),
    ),
)

CALLS = Row(
    "Calls",
    (
        Panel(
            "Calls and how they ended",
            Form.LINES,
            (
                Query(
                    f"sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{{{_KMS}}}{RATE}))",
                    "{{grpc_method}} {{grpc_code}}",
                ),
            ),
            "By method and gRPC code, as kleidi answered them.",
            unit="ops",
        ),
        Panel(
            "Refused, by id",
            Form.LINES,
            (
                Query(
                    f"sum by (method, id) (increase(kleidi_call_refusals_total{RATE})) > 0",
                    "{{method}} {{id}}",
                ),
            ),
            "Why calls were refused; the ids are those of docs/errors.md.",
            empty="none was refused",
        ),
        Panel(
            "How long a call takes",
            Form.LINES,
            (_ours("0.5"), _ours("0.99"), _theirs("0.5"), _theirs("0.99")),
            "Ours beside the API server's own: the difference is the socket and the way to it.",
            unit="s",
        ),
        Panel(
            "Calls that wait",
            Form.LINES,
            (Query("kleidi_calls_waiting", "{{instance}}"),),
            "A burst after an API server's start is normal; a line that stays up is an engine that is slow.",
        ),
    ),
)
