"""How `kleidi backup` reaches the keys: through the running server, or on the volume while none runs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance import assembly, faults, given
from appliance.age.key_pairs import Identities, Opener, Recipients, Sealer
from appliance.backup import bundle, directory
from appliance.backup.report import Examined
from appliance.backup.verified import Verified
from appliance.backup.verify import Comparison, LiveKey, compare, examine, missing
from appliance.cli import reach
from appliance.cli.usage import counted_in_snapshot
from appliance.faults import KleidiError
from appliance.ops.operations import Operations
from appliance.settings import Settings
from appliance.usage.counted import MAX_SIZE as MAX_USAGE
from appliance.usage.counted import Counted
from appliance.volume.opening import Opened
from appliance.volume.payload import Payload
from appliance.volume.seal import Header


@dataclass(frozen=True)
class Made:
    header: Header
    keyset: str
    data: bytes


_NOT_RECORDED = "not recorded: there is no volume here that these keys belong to"


def make(settings: Settings, seal_for: Sealer, reason: str, *, dry_run: bool) -> Made:
    """A bundle for *seal_for*. A passphrase stays in this process: the server encrypts to a key of ours."""
    if isinstance(seal_for, Recipients):
        return _fetch(settings, seal_for, reason, dry_run=dry_run)
    courier = Identities.generate()
    why = f"{reason} (under a passphrase)".strip()
    made = _fetch(settings, courier.recipients, why, dry_run=dry_run)
    if dry_run:
        return made
    header, payload = bundle.open_bundle(made.data, courier)
    return Made(header, made.keyset, bundle.make(payload, header, seal_for))


def _fetch(settings: Settings, recipients: Recipients, reason: str, *, dry_run: bool) -> Made:
    from appliance.client import admin

    request = admin.bundle_request(recipients.names, reason, dry_run=dry_run)

    def ask() -> Made:
        reply = admin.bundle(settings.admin_socket, request)
        return Made(Header(reply.lineage, reply.generation), reply.keyset, reply.bundle)

    def take(opened: Opened, operations: Operations) -> Made:
        kept, by = operations.workshop.storage, assembly.here()
        data = bundle.hand_out(opened, recipients, kept, by, reason, dry_run=dry_run)
        return Made(opened.header, opened.payload.keyset.hash, data)

    return reach.carried_out(settings, ask, take)


def destination(where: str, header: Header) -> Path:
    """A file that is named, or one of our own name in a directory."""
    path = Path(where)
    return path / directory.name(header, datetime.now(UTC)) if path.is_dir() else path


def verify(
    settings: Settings,
    file: Path,
    data: bytes,
    key: Opener,
    *,
    live: bool,
    stored: dict[str, int] | None,
) -> Examined:
    """What is in the bundle *data* of *file*, each key of it proved; with *live* held against those in use.

    Of *stored*, objects by key id, it tells those that no key of it opens. That it was verified is recorded
    on this node's volume when that is of its lineage. Raises E-BACKUP-…, E-MEMORY-…; with *live* E-SERVER-….
    """
    found = examine(data, key, assembly.engines(settings), settings.memory_dir)
    header, payload = found.header, found.payload
    lacking = None if stored is None else missing(payload, stored)
    compared = _compared(settings, payload) if live else None
    # What could not be tried is no backup that anything may rest on.
    recorded = not found.unproved and record(settings, header, payload, file)
    return Examined.of(
        str(file),
        found,
        recorded,
        live=compared,
        stored=stored,
        missing=lacking,
        remarks=[] if recorded or found.unproved else [_NOT_RECORDED],
    )


def record(settings: Settings, header: Header, payload: Payload, file: Path) -> bool:
    """Write down on this node's volume that a bundle of its lineage was verified."""
    if lineage(settings, volume_only=True) != header.lineage:
        return False
    try:
        return assembly.verified(settings).write(Verified.of(header, payload, file.name))
    except OSError:
        return False


def lineage(settings: Settings, *, volume_only: bool = False) -> str | None:
    """The node's own, as the volume's header has it, else as its anchor remembers."""
    kept = assembly.storage(settings)
    survey = kept.volume.survey()
    try:
        if survey.newest:
            return kept.header(survey).lineage
        known = None if volume_only else kept.anchor.read()
    except KleidiError:
        return None
    return known.lineage if known else None


def _compared(settings: Settings, payload: Payload) -> Comparison:
    from appliance.client import admin

    def ask() -> Comparison:
        report = admin.ask(settings.admin_socket)
        if not report.keyset:
            raise KleidiError(faults.BACKUP_NOTHING_LIVE, report.reason_id)
        keys = [LiveKey(row.name, row.key_id, row.state) for row in report.keys]
        return compare(payload, report.lineage, report.keyset, keys)

    def look(opened: Opened, _operations: Operations) -> Comparison:
        keyset = opened.payload.keyset
        keys = [LiveKey(key.name, key.id, key.state) for key in keyset.keys]
        return compare(payload, keyset.lineage, keyset.hash, keys)

    return reach.carried_out(settings, ask, look)


def stored(usage: str, snapshot: str, prefix: str) -> dict[str, int] | None:
    """How many objects are stored under which key id of a KMS v2 provider; None when nobody asked."""
    if snapshot:
        return dict(counted_in_snapshot(snapshot, prefix).stored)
    if not usage:
        return None
    counted = Counted.parse(given.read(usage, MAX_USAGE, larger=faults.USAGE_INVALID))
    if not counted.complete or counted.key_id or not counted.rows:
        raise KleidiError(faults.USAGE_INVALID, f"{usage}: not all of it is there")
    return dict(counted.stored)
