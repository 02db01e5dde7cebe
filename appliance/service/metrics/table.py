"""The table of metrics: each with its name, labels and meaning. What stands here never changes its name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from appliance.telemetry.counts import Calls


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """*absent* says when it has no sample; empty for one that is there in every state."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    absent: str


class Sample(NamedTuple):
    """One number of *metric*, of a histogram the calls that it is made of; *labels* in the metric's order."""

    metric: Metric
    value: float | Calls
    labels: tuple[str, ...] = ()


_ALL: list[Metric] = []


def _metric(kind: Kind, name: str, labels: str, about: str, absent: str) -> Metric:
    _ALL.append(Metric(name, kind, tuple(labels.split()), about, absent))
    return _ALL[-1]


def _counter(name: str, labels: str, about: str, absent: str = "") -> Metric:
    return _metric(Kind.COUNTER, name, labels, about, absent)


def _gauge(name: str, labels: str, about: str, absent: str = "") -> Metric:
    return _metric(Kind.GAUGE, name, labels, about, absent)


def every() -> list[Metric]:
    """All metrics, in the order of the table."""
    return list(_ALL)


_SHUT = "while no key is open"
_NO_SEAL = "while the volume shows no seal"
_GONE = "while it cannot be asked"

# A table reads better with a metric in two lines.
# fmt: off
STARTED = _counter("grpc_server_started_total", "grpc_type grpc_service grpc_method",
    "Calls that began.")
HANDLED = _counter("grpc_server_handled_total", "grpc_type grpc_service grpc_method grpc_code",
    "Calls that were answered, by gRPC's status code.")
HANDLING = _metric(Kind.HISTOGRAM, "grpc_server_handling_seconds", "grpc_type grpc_service grpc_method",
    "How long calls took until they were answered.", "")
STATE = _gauge("kleidi_state", "state",
    "How it stands, as `kleidi status` calls it: 1 for one state, 0 for the others.")
REASON = _gauge("kleidi_reason", "id kind",
    "1 for each reason to look, by its id; docs/errors.md tells what to do.", "while there is none")
STATE_SINCE = _gauge("kleidi_state_since_timestamp_seconds", "",
    "When it came to stand as it does.")
PROOF = _gauge("kleidi_proof_timestamp_seconds", "",
    "When a round trip with the primary key came back last; 0 for never.")
PROOFS = _counter("kleidi_proofs_total", "result",
    "Round trips with the primary key, `ok` or `failed`, in the engine that holds it.")
PROOF_SECONDS = _gauge("kleidi_proof_seconds", "",
    "How long the last of them took; 0 until one was timed.")
LAST_CALL = _gauge("kleidi_last_call_timestamp_seconds", "method",
    "When the API server's last call of that method was answered; 0 for never.")
REFUSALS = _counter("kleidi_call_refusals_total", "method id",
    "Calls that were refused, by the id of the reason.")
WAITING = _gauge("kleidi_calls_waiting", "",
    "Calls that wait for an engine, or for a change of keys to be over.")
OPENS = _counter("kleidi_token_opens_total", "",
    "How often the token was opened and every key proved.")
SWITCHES = _counter("kleidi_switches_total", "",
    "How often a newer generation was gone over to.")
SWITCH_PAUSE = _gauge("kleidi_switch_pause_seconds", "",
    "How long calls waited at the last of them.")
ENGINE_KEYS = _gauge("kleidi_engine_keys", "engine",
    "Keys that are the engine's and not destroyed.", _SHUT)
ENGINE_AWAY = _gauge("kleidi_engine_away", "engine",
    "1 while the engine does not answer or did not open.", _SHUT)
ENGINE_WAITING = _gauge("kleidi_engine_calls_waiting", "engine",
    "Calls that wait for the engine.", _SHUT)
ENGINE_PROOF = _gauge("kleidi_engine_proof_timestamp_seconds", "engine",
    "When a round trip with a primary key of the engine came back last.", "until one did")
ENGINE_PROOFS = _counter("kleidi_engine_proofs_total", "engine result",
    "Round trips with the engine, `ok` or `failed`.", "until the first")
KEY_INFO = _gauge("kleidi_key_info", "key_id_hash key state adopted",
    "1 for each key that is not destroyed; the hash is the one in the API server's own metrics.", _SHUT)
KEY_ENCRYPTS = _counter("kleidi_key_encrypts_total", "key_id_hash",
    "What was encrypted with the key on this node, since its first boot.", _SHUT)
KEY_DECRYPTS = _counter("kleidi_key_decrypts_total", "key_id_hash",
    "What was decrypted with the key on this node, since its first boot.", _SHUT)
KEY_LAST_DECRYPT = _gauge("kleidi_key_last_decrypt_timestamp_seconds", "key_id_hash",
    "When the key last decrypted, not counting the time since in which nothing served; 0 for never.", _SHUT)
KEY_STATE_SINCE = _gauge("kleidi_key_state_since_timestamp_seconds", "key_id_hash",
    "When the key came into its state; 0 where nobody wrote it down.", _SHUT)
KEY_READABLE = _gauge("kleidi_key_readable", "key_id_hash",
    "0 for a key that should decrypt and does not; only of keys that should.", _SHUT)
KEYSET_INFO = _gauge("kleidi_keyset_info", "keyset lineage",
    "1; nodes with other labels do not hold the same keys in the same states.", _SHUT)
GENERATION = _gauge("kleidi_generation", "",
    "The generation that is served, or the one on the volume; 0 for none.")
STORED = _gauge("kleidi_stored_objects", "resource key_id_hash",
    "Objects in etcd by key, empty for not encrypted, `other` for otherwise, as `kleidi usage` counted them.",
    "until `kleidi usage` counts a whole cluster for this server")
STORED_COUNTED = _gauge("kleidi_stored_counted_timestamp_seconds", "",
    "When they were counted.", "until `kleidi usage` counts a whole cluster for this server")
BACKUP_VERIFIED = _gauge("kleidi_backup_verified_timestamp_seconds", "",
    "When a bundle was verified last.", "while none was")
BACKUP_MISSING = _gauge("kleidi_backup_missing_keys", "",
    "Keys that are not in the bundle that was verified last.", "while none was, and while no key is open")
SLOT_INFO = _gauge("kleidi_slot_info", "name kind configured",
    "1 for each way into the seal; the configured one is used at a start.", _NO_SEAL)
SLOT_TESTED = _gauge("kleidi_slot_tested_timestamp_seconds", "name",
    "When the slot was proved last.", "of a slot that never was")
PROTECTION = _gauge("kleidi_protection_info", "level",
    "1; what stands between the volume and its keys.", _SHUT)
EXPORTS = _counter("kleidi_exports_total", "what",
    "How often keys left the node, as a `backup` or for another `node`.")
INVITATION = _gauge("kleidi_invitation_open", "",
    "1 while this node waits for another one's keys.")
AUDIT_ENTRIES = _gauge("kleidi_audit_entries", "",
    "The number of the audit log's last entry.", _GONE)
AUDIT_INTACT = _gauge("kleidi_audit_intact", "",
    "1 when every entry followed from the one before it, 0 when not; followed once an hour.", "until it was")
VOLUME_FREE = _gauge("kleidi_volume_free_bytes", "",
    "Free space on the volume.", _GONE)
MEMORY_FREE = _gauge("kleidi_memory_free_bytes", "",
    "Free space where the token is open.", _GONE)
BUILD_INFO = _gauge("kleidi_build_info", "version revision softhsm pykcs11 cryptography grpcio python",
    "1; which kleidi this is, and what it stands on.")
PROCESS_CPU = _counter("process_cpu_seconds_total", "",
    "What all threads of the server ran.")
PROCESS_START = _gauge("process_start_time_seconds", "",
    "When the server started.")
PROCESS_RESIDENT = _gauge("process_resident_memory_bytes", "",
    "Its resident memory.")
PROCESS_VIRTUAL = _gauge("process_virtual_memory_bytes", "",
    "Its address space.")
PROCESS_FILES = _gauge("process_open_fds", "",
    "Its open files.")
PROCESS_MOST_FILES = _gauge("process_max_fds", "",
    "How many of them it may have.")
# fmt: on
