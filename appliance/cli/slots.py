"""`kleidi slot …`: the ways into the seal. A passphrase and an identity stay in this process."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import typer

from appliance import assembly, faults, hardening, screen
from appliance.cli import reach, slot_secrets
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, Output, Printed, Reason, tell
from appliance.cli.secrets import IdentityFile, PassphraseFile
from appliance.cli.slot_secrets import KeyFileOption
from appliance.client.report import Changed
from appliance.documents import Document
from appliance.faults import KleidiError
from appliance.ops.slots import Act, Order, SlotChanges
from appliance.settings import Settings, load
from appliance.slots import KINDS, Asked
from appliance.slots.listing import Row

app = Verbs("Slots, the ways to open the seal: list, add, test, renew, remove.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="As `kleidi slot list` shows it.")]
_NewName = Annotated[str, typer.Option("--name", help="What to call it; by default its kind.")]
_Kind = Annotated[
    str,
    typer.Option(
        "--kind", parser=slot_secrets.kind, metavar=f"[{'|'.join(KINDS)}]", help="What its secret is."
    ),
]
_Recipient = Annotated[
    str, typer.Option("--recipient", help="For recovery: an age public key, age1…; its identity stays away.")
]
_Pcrs = Annotated[
    str,
    typer.Option("--pcrs", help="For tpm: only while these registers stay as they are, as 7 or 7,11."),
]
_Force = Annotated[bool, typer.Option("--force", help="Although the appliance opens the volume with it.")]


@dataclass(frozen=True)
class SlotList(Document):
    """Every way into the seal; nothing has to be open for it."""

    schema: ClassVar[str] = "kleidi.slot-list/v1"
    printed_by: ClassVar[str] = "kleidi slot list"

    slots: Annotated[list[Row], "in the order in which the seal holds them"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        kept = any(row.configured and _kept(row) for row in self.slots)
        cells = (_cells(row, spoilt=kept and row.kind in _KEY_FILES) for row in self.slots)
        return "\n".join(screen.table(("SLOT", "KIND", "TESTED", "USE"), cells, columns))


_KEY_FILES = ("file", "volume")


def _kept(row: Row) -> bool:
    return row.kind in KINDS and KINDS[row.kind].escrow


def _cells(row: Row, *, spoilt: bool) -> tuple[str, ...]:
    """*spoilt*: whoever has its file needs no other slot, whatever that one asks for."""
    when = screen.day(row.tested) if row.tested else ""
    # What keeps a key elsewhere is not asked for a list.
    tested = when or ("opens now" if row.configured and not _kept(row) else "never")
    return (
        screen.safe(row.name),
        screen.safe(row.kind),
        tested,
        "the configured one" if row.configured else "opens it without the configured one" if spoilt else "",
    )


@app.command("list")
def list_slots(*, output: Printed = Output.TEXT) -> None:
    """Every way into the seal; nothing has to be open for it."""
    tell(SlotList(slot_secrets.rows(load())), output)


@app.command()
def add(
    *,
    kind: _Kind,
    name: _NewName = "",
    key_file: KeyFileOption = None,
    passphrase_file: PassphraseFile = "",
    recipient: _Recipient = "",
    identity: IdentityFile = "",
    pcrs: _Pcrs = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """One more way into the seal. It is tried before it counts; the keys stay as they are."""
    hardening.shut()
    settings, called = load(), name or kind
    given = slot_secrets.asked(
        settings,
        key_file=key_file,
        passphrase_file=passphrase_file,
        identity=identity,
        recipient=recipient,
        kind=kind,
        pcrs=pcrs,
    )
    tell(_carry_out(settings, _made(Act.ADD, kind, given, called, dry_run)), output)


def _made(act: Act, kind: str, given: Asked, name: str, dry_run: bool) -> Order:
    """The order for a new slot, opened once by what it was made for where that is at hand."""
    if given.pcrs and kind != "tpm":
        raise KleidiError(faults.COMMAND_LINE, "--pcrs is for slots of kind tpm")
    new, secret = KINDS[kind].opening().add(given, name, dry_run=dry_run)
    if secret is not None and secret.recall(new.values).wrapping_key != new.wrapping_key:
        raise KleidiError(faults.SLOT_WRONG, name)
    return Order(act, name, new=new, proved=secret is not None, dry_run=dry_run)


@app.command("test")
def prove(
    name: _Name,
    *,
    key_file: KeyFileOption = None,
    passphrase_file: PassphraseFile = "",
    identity: IdentityFile = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Prove a slot with its secret, and write down that it was proved."""
    hardening.shut()
    settings = load()
    row = _row(settings, name)
    given = slot_secrets.asked(
        settings, key_file=key_file, passphrase_file=passphrase_file, identity=identity
    )
    secret = KINDS[row.kind].opening().secret(given)
    key = secret.recall(row.values).wrapping_key
    tell(_carry_out(settings, Order(Act.TEST, name, key=key, dry_run=dry_run)), output)


def _row(settings: Settings, name: str) -> Row:
    row = next((row for row in slot_secrets.rows(settings) if row.name == name), None)
    if row is None:
        raise KleidiError(faults.SLOT_NO_SUCH, name)
    if row.kind not in KINDS:
        raise KleidiError(faults.SLOT_SECRET, f"this version knows no slot of kind {row.kind}")
    return row


@app.command()
def renew(
    name: _Name,
    *,
    pcrs: _Pcrs = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Make a slot anew with what keeps its key now, in one generation; by default for the same PCRs."""
    hardening.shut()
    settings = load()
    row = _row(settings, name)
    if not KINDS[row.kind].escrow:
        raise KleidiError(faults.SLOT_SECRET, f"add another slot of kind {row.kind}, and remove {name}")
    given = slot_secrets.asked(settings, kind=row.kind, pcrs=pcrs or row.values.get("pcrs", ""))
    tell(_carry_out(settings, _made(Act.RENEW, row.kind, given, name, dry_run)), output)


@app.command()
def remove(
    name: _Name,
    *,
    force: _Force = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """One way less into the seal; never the last one that was tested."""
    if force and not reason:
        raise KleidiError(faults.COMMAND_LINE, "--force needs a --reason")
    order = Order(Act.REMOVE, name, force=force, reason=reason, dry_run=dry_run)
    tell(_carry_out(load(), order), output)


def _carry_out(settings: Settings, order: Order) -> Changed:
    from appliance.client import admin

    request = admin.slot_request(order)
    by_hand = replace(order, by=assembly.here())
    changed = reach.carried_out(
        settings,
        lambda: admin.change_slot(settings.admin_socket, request),
        lambda opened, operations: Changed.of(SlotChanges(operations).run(opened, by_hand)),
    )
    return replace(changed, dry_run=order.dry_run)
