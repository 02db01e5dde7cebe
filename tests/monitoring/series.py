"""Every series that rules and dashboard may name: ours with their labels, and what others export."""

import re
from collections.abc import Iterator

from appliance.service.metrics import table


def _ours() -> Iterator[tuple[str, set[str]]]:
    for metric in table.every():
        if metric.kind is table.Kind.HISTOGRAM:
            yield f"{metric.name}_bucket", {*metric.labels, "le"}
        else:
            yield metric.name, set(metric.labels)


OURS = dict(_ours())
_ENVELOPE = "apiserver_envelope_encryption"
_OPERATION = {"provider_name", "method_name", "grpc_status_code"}
_HASH = {"provider_name", "key_id_hash", "apiserver_id_hash"}
THEIRS: dict[str, set[str]] = {
    "up": set(),
    "node_textfile_mtime_seconds": {"file"},
    "kubernetes_healthcheck": {"name", "type"},
    f"{_ENVELOPE}_key_id_hash_status_last_timestamp_seconds": _HASH,
    f"{_ENVELOPE}_key_id_hash_total": {*_HASH, "transformation_type"},
    f"{_ENVELOPE}_kms_operations_latency_seconds_count": _OPERATION,
    f"{_ENVELOPE}_kms_operations_latency_seconds_bucket": {*_OPERATION, "le"},
}
# Prometheus adds them to everything that it scrapes.
_ALWAYS = {"job", "instance"}

_WORDS = {"and", "or", "unless", "by", "on", "ignoring", "without", "group_left", "group_right", "bool"}
_STRING = re.compile(r'"[^"]*"')
_MATCHERS = re.compile(r"([a-z_:][a-z0-9_:]*)\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w.$])([a-z_:][a-z0-9_:]*)(?!\w)(?!\s*\()")


def named(expression: str) -> dict[str, set[str]]:
    """The series of *expression*, each with the labels that it is asked for by."""
    bare = _STRING.sub('""', expression)
    found: dict[str, set[str]] = {}
    for name, matchers in _MATCHERS.findall(bare):
        asked = {each.rstrip("!=~ ") for each in re.findall(r"([a-z_]+\s*[!=~]+)", matchers)}
        found.setdefault(name, set()).update(asked)
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", _GROUPING.sub(" ", bare)).replace('""', " ")
    for name in _NAME.findall(plain):
        if name not in _WORDS:
            found.setdefault(name, set())
    return found


def grouped(expression: str) -> set[str]:
    """The labels that *expression* joins or sums by."""
    return {each.strip() for inside in _GROUPING.findall(expression) for each in inside.split(",")} - {""}


def wrong(expression: str, recorded: set[str]) -> Iterator[str]:
    """What *expression* names that nobody exports."""
    known = OURS | THEIRS
    names = named(expression)
    for name, labels in names.items():
        if name not in known and name not in recorded:
            yield name
        elif name in known and (unknown := labels - known[name] - _ALWAYS):
            yield f"{name}{unknown}"
    every = set().union(*known.values()) | _ALWAYS
    yield from sorted(grouped(expression) - every)
