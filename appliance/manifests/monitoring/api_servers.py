"""What API servers measure: they see what we cannot, the way to us included."""

from appliance.manifests.monitoring import keys
from appliance.manifests.monitoring.alert import Alert, Severity
from appliance.manifests.monitoring.panel import RATE, Form, Panel, Query, Row

PROVIDER = 'provider_name="kleidi"'
SEEN = "apiserver_envelope_encryption_kms_operations_latency_seconds"

ALERTS = (
    Alert(
        "KmsPluginErrorsSeenByApiServer",
        Severity.CRITICAL,
        "sum by (instance, method_name, grpc_status_code)"
        f' (increase({SEEN}_count{{{PROVIDER},grpc_status_code!="OK"}}[5m])) > 0',
        "{{ $labels.instance }}: {{ $labels.method_name }} fails with {{ $labels.grpc_status_code }}",
        "Calls of this API server to kleidi fail.",
        "See whether kleidi counts the same failures. If it does not, they fail on the way: the socket, its"
        " permissions, the API server's `timeout`.",
        hold="2m",
    ),
    Alert(
        "KmsHealthCheckFailing",
        Severity.CRITICAL,
        'kubernetes_healthcheck{name="kms-providers",type="readyz"} == 0',
        "{{ $labels.instance }}: not ready because of its KMS providers",
        "This API server calls itself not ready, and a load balancer takes it out.",
        "Its path /readyz/kms-providers tells the reason, with our id if it is ours.",
        hold="1m",
    ),
)

API_SERVERS = Row(
    "API servers",
    (
        Panel(
            "Which API server heard of which key, and when",
            Form.TABLE,
            (Query(f"time() - ({keys.JOIN})"),),
            "API servers against our keys, joined by the hash that both export; seconds since each heard of"
            " it. The smallest number of an API server is the key that it encrypts with.",
            unit="s",
        ),
        Panel(
            "What they read, by key",
            Form.LINES,
            (
                Query(
                    "sum by (key, state) (rate(apiserver_envelope_encryption_key_id_hash_total"
                    f'{{{PROVIDER},transformation_type="from_storage"}}{RATE}) {keys.NAMED})',
                    "{{key}} {{state}}",
                ),
                Query(keys.OLD_READS.name, "{{key}} {{state}}, last hour"),
            ),
            "A key that is still read is still needed, whatever was counted.",
            unit="ops",
        ),
        Panel(
            "Failed calls as they count them",
            Form.LINES,
            (
                Query(
                    "sum by (instance, method_name, grpc_status_code) (increase("
                    f'{SEEN}_count{{{PROVIDER},grpc_status_code!="OK"}}{RATE}))',
                    "{{instance}} {{method_name}} {{grpc_status_code}}",
                ),
            ),
            "With what kleidi refuses below it: what is only here failed on the way.",
            empty="no call failed",
        ),
        Panel(
            "Their verdict on us",
            Form.LINES,
            (Query('kubernetes_healthcheck{name="kms-providers",type="readyz"}', "{{instance}}"),),
            "1 is ready. At 0 a load balancer takes that API server out.",
        ),
    ),
)
