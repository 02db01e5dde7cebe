"""The parts of the documents that the code writes: `make docs`, and a test that they are current."""

from pathlib import Path

from annotated_types import Ge, Le, Lt
from pydantic.fields import FieldInfo

from appliance.documents import Document
from appliance.install import chip
from appliance.manifests import monitoring
from appliance.manifests.description import Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.engines import Auth, Engine, Pkcs11, Transit
from appliance.manifests.pod import static_pod
from appliance.manifests.slots import Slot, SlotName
from appliance.manifests.tpm import Tpm
from appliance.service import limits
from appliance.service.metrics import table
from appliance.service.sockets import limits as http
from appliance.service.transports.grpcio import limits as grpcio
from appliance.service.transports.nghttp2 import limits as nghttp2
from appliance.settings import CONFIG_FILE, DEFAULT_FILE, PREFIX, Settings
from tests.cli import documents
from tests.docs import errors, screens
from tests.docs import monitoring as monitoring_page

CHECKOUT = Path(__file__).resolve().parent.parent
README = CHECKOUT / "README.md"
LIMITS = CHECKOUT / "docs" / "limits.md"
JSON = CHECKOUT / "docs" / "json.md"
METRICS = CHECKOUT / "docs" / "metrics.md"
MONITORING = CHECKOUT / "docs" / "monitoring.md"
MANIFESTS = CHECKOUT / "container" / "manifests"
# What an operator with such an engine would say.
ENGINES: dict[str, Engine] = {
    "transit": Transit(
        told=True, addresses=("https://vault-1.example.com:8200", "https://vault-2.example.com:8200")
    ),
    "transit-cert": Transit(told=True, addresses=("https://[2001:db8::1]:8200",), auth=Auth.CERT),
    "pkcs11": Pkcs11(told=True, module="/opt/hsm/lib/libhsm.so", names="serial=1f2e;label=cluster"),
}
# A pod that the node's TPM opens.
GIVEN_TPM = Description(
    Role.FIRST,
    slot=Slot(SlotName.TPM, "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
    tpm=Tpm(chip.program()),
)
_MARKS = "<!-- settings -->\n", "<!-- /settings -->"

_LIMITS_HEAD = """\
# Limits

What a caller can make the appliance hold is bounded, well inside the 384 MiB of its pod, and what is beyond a
bound is refused. Written from the modules `limits` of appliance/service by `make docs`.

## Ours, refused in our words

| limit | value | what a caller sees | why |
|---|---|---|---|
"""
_LIMITS_HTTP = """
## By HTTP

The health socket has these, and `KLEIDI_HTTP` the same again: a crowd on the one is none on the other.

| limit | value | what a caller sees | why |
|---|---|---|---|
"""
_LIMITS_NGHTTP2 = """
## nghttp2's, set on purpose

The transport keeps these by itself, ahead of the table of faults: without an id, without a line in our log.
One header of more than 64 KiB is beyond what nghttp2 reads, and ends the connection (COMPRESSION_ERROR).

| limit | value | what a caller sees | why |
|---|---|---|---|
"""
_LIMITS_GRPCIO = """
## grpcio's, set on purpose (`KLEIDI_TRANSPORT=grpcio`)

gRPC's core answers these by itself, ahead of any code of ours: without an id, without a line in our log.
Where two values stand, the second is the admin socket's.

| argument | value | what a caller sees | why |
|---|---|---|---|
"""
_LIMITS_LEFT = """
## grpcio's, left as they are

| argument | default | what a caller sees | why |
|---|---|---|---|
"""


_JSON_HEAD = """\
# What `--output json` prints

Each command prints one document, and each document has one schema, which stands in it. Fields may be
added to a schema, never changed or taken away: what reads them passes over those that it does not know.
A command that fails prints `kleidi.error/v1` on stdout, and its line on stderr as always. Times are in
Unix seconds. Written from the classes by `make docs`.
"""


_METRICS_HEAD = """\
# Metrics

`/metrics` on the health socket, beside the admin socket, tells these in Prometheus' text format, in every
state. A metric without samples is still named; the last column says when that is. Times are in Unix
seconds. Names and labels are never changed or taken away; there may be more of them. Written from
appliance/service/metrics/table.py by `make docs`.

What stands in a label comes from closed lists: states, methods, ids of faults, engines, keys and slots of
this node. No caller makes a series: not by a key id, a uid, an annotation or the name of a method.

`key_id_hash` is `sha256:` and the hash of the key id in hexadecimal digits, as the API server's own metrics
have it, so that the two can be joined. Several nodes tell of one key, so `max by` makes one series of
theirs:

```promql
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds
  * on (key_id_hash) group_left (key, state) max by (key_id_hash, key, state) (kleidi_key_info)
```

Counters begin at 0 with the server, those of keys with the node's first boot: they are kept on the volume,
and what a crash loses is the last minute. What lies on a disk is asked in a thread: a scrape waits a second
for it, and then tells what was seen last.

| metric | type | labels | meaning | absent |
|---|---|---|---|---|
"""


def settings_table() -> str:
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f"`{_shown(name, field.default)}`" if field.default is not None else ""
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description}{_bounds(field)} |")
    about = "A TOML file with any of the above; only one that is named must be there."
    rows.append(f"| `{CONFIG_FILE}` | `{DEFAULT_FILE}` | {about} |")
    return "\n".join(rows) + "\n"


def _bounds(field: FieldInfo) -> str:
    least = [rule.ge for rule in field.metadata if isinstance(rule, Ge)]
    most = [rule.le for rule in field.metadata if isinstance(rule, Le)]
    below = [f"below {rule.lt}" for rule in field.metadata if isinstance(rule, Lt)]
    return f" {least[0]} to {[*most, *below][0]}." if least else ""


def _shown(name: str, value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:04o}" if name.endswith("_mode") else value


def readme(text: str) -> str:
    """*text* with the settings' table as the code has it now."""
    before, rest = text.split(_MARKS[0])
    after = rest.split(_MARKS[1])[1]
    return before + _MARKS[0] + settings_table() + _MARKS[1] + after


def limits_page() -> str:
    queue = Settings.model_fields["queue_size"].default
    text = _LIMITS_HEAD
    for name, value, seen, why in limits.ours(queue):
        text += f"| {name} | {value} | {seen} | {why} |\n"
    for heading, rows in ((_LIMITS_HTTP, http.table()), (_LIMITS_NGHTTP2, nghttp2.table())):
        text += heading
        for limit in rows:
            text += f"| {limit.name} | {limit.value:,} | {limit.seen} | {limit.why} |\n"
    text += _LIMITS_GRPCIO
    for kms, admin in zip(grpcio.table(), grpcio.table(limits.BY_HAND), strict=True):
        values = dict.fromkeys([f"{kms.value:,}", f"{admin.value:,}"])
        text += f"| `{kms.name}` | {' · '.join(values)} | {kms.seen} | {kms.why} |\n"
    text += _LIMITS_LEFT
    for limit in grpcio.LEFT:
        text += f"| `{limit.name}` | {limit.default} | {limit.seen} | {limit.why} |\n"
    return text


def json_page() -> str:
    """Every document, with the parts that it is made of behind it."""
    text = _JSON_HEAD
    for document in documents.DOCUMENTS:
        text += f"\n## {document.schema}\n\nPrinted by: {document.printed_by}. {_doc(document)}\n"
        text += _fields(document)
    for part in documents.parts():
        text += f"\n## {part.__name__}\n\n{_doc(part)}\n{_fields(part)}"
    return text


def _doc(described: type) -> str:
    """Its first sentence; a dataclass without one has its signature there."""
    sentence = (described.__doc__ or "").partition("\n")[0]
    return "" if sentence.startswith(f"{described.__name__}(") else sentence


def _fields(described: type) -> str:
    rows = "\n| field | type | meaning |\n|---|---|---|\n"
    if issubclass(described, Document):
        rows += f"| `schema` | text | `{described.schema}` |\n"
    for name, (kind, meaning) in documents.fields(described).items():
        rows += f"| `{name}` | {documents.shown(kind)} | {meaning} |\n"
    return rows


def metrics_page() -> str:
    rows = [
        f"| `{each.name}` | {each.kind} | {' '.join(f'`{label}`' for label in each.labels)} "
        f"| {each.help} | {each.absent} |\n"
        for each in table.every()
    ]
    return _METRICS_HEAD + "".join(rows)


def manifests() -> dict[Path, str]:
    """What `kleidi manifests DISTRIBUTION --first` writes for each of them, and the pod in every variant."""
    texts = {
        MANIFESTS / distribution / name: text
        for distribution in Distribution
        for name, text in files(distribution, Description(Role.FIRST)).items()
    }
    for role in Role:
        for user in User:
            name = f"{role.name.lower()}-{user}.yaml"
            texts[MANIFESTS / "pods" / name] = static_pod(Description(role, user))
    for name in ("transit", "pkcs11"):
        described = Description(Role.FIRST, engine=ENGINES[name])
        texts[MANIFESTS / "pods" / f"first-root-{name}.yaml"] = static_pod(described)
    texts[MANIFESTS / "pods" / "first-root-tpm.yaml"] = static_pod(GIVEN_TPM)
    texts |= {MANIFESTS / "monitoring" / name: text for name, text in monitoring.files().items()}
    return texts


if __name__ == "__main__":
    README.write_text(readme(README.read_text()))
    errors.write()
    LIMITS.write_text(limits_page())
    JSON.write_text(json_page())
    METRICS.write_text(metrics_page())
    MONITORING.write_text(monitoring_page.written(MONITORING.read_text()))
    screens.write()
    for path, text in manifests().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
