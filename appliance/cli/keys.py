"""`kleidi key …`: through the running server, or on the volume itself while no server runs."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from appliance import assembly, faults, given
from appliance.cli import reach
from appliance.cli.options import DryRun, Output, Printed, Reason, UsageFile
from appliance.client.report import Changed, KeyRow
from appliance.faults import Exit, KleidiError
from appliance.ops.advice import after
from appliance.ops.check import Condition, Question, Verdict, may_destroy, may_disable
from appliance.ops.operations import Command, Operations, Verb
from appliance.settings import Settings, load
from appliance.usage.counted import MAX_SIZE
from appliance.usage.proof import Proof, stored_under
from appliance.volume.opening import Opened

app = typer.Typer(no_args_is_help=True, help="Keys: list, rotate, retire, destroy.")

_Key = Annotated[str, typer.Argument(metavar="KEY", help="v1, v2, … or a key id.")]
_Expect = Annotated[
    str, typer.Option("--expect-keyset", help="Refuse unless the key set has this hash (kleidi status).")
]
_WithoutBackup = Annotated[
    bool,
    typer.Option(
        "--without-backup", help="Although no verified backup holds the key: with this node it is lost."
    ),
]
_Stored = Annotated[
    int | None,
    typer.Option("--stored", min=0, help="Objects that a whole `kleidi usage` found under this key."),
]
SCHEMA = "kleidi.key/v1"


@app.command("list")
def list_keys(*, output: Printed = Output.TEXT) -> None:
    """Every key with its state, and how often this node used it."""
    rows = _rows(load())
    if output is Output.JSON:
        typer.echo(json.dumps({"schema": SCHEMA, "keys": [asdict(row) for row in rows]}, indent=2))
        return
    for row in rows:
        since = datetime.fromtimestamp(row.since, UTC).date().isoformat() if row.since else ""
        adopted = "adopted" if row.adopted else ""
        used = f"{row.wrapped} encrypted, {row.unwrapped} decrypted"
        typer.echo(f"{row.name:4} {row.state:9} {since:10} {row.key_id}  {used} {adopted}".rstrip())


@app.command()
def stage(*, dry_run: DryRun = False, output: Printed = Output.TEXT, reason: Reason = "") -> None:
    """Make a new key that decrypts but is announced nowhere yet: carry it to the other nodes first."""
    _change(Command(Verb.STAGE, dry_run=dry_run, reason=reason), output)


@app.command()
def promote(
    key: _Key,
    *,
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
    expect: _Expect = "",
    without_backup: _WithoutBackup = False,
    reason: Reason = "",
) -> None:
    """Encrypt with the staged key from now on; the primary one before it becomes retired."""
    command = Command(Verb.PROMOTE, key=key, expect_keyset=expect, dry_run=dry_run, reason=reason)
    _change(replace(command, without_backup=without_backup), output)


@app.command()
def rotate(
    *,
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
    expect: _Expect = "",
    without_backup: _WithoutBackup = False,
    reason: Reason = "",
) -> None:
    """Stage and promote in one, for a single node. A second run finishes an interrupted one."""
    command = Command(Verb.ROTATE, expect_keyset=expect, dry_run=dry_run, reason=reason)
    _change(replace(command, without_backup=without_backup), output)


@app.command()
def retire(key: _Key, *, dry_run: DryRun = False, output: Printed = Output.TEXT, reason: Reason = "") -> None:
    """Give up a staged key before it became primary; it still decrypts."""
    _change(Command(Verb.RETIRE, key=key, dry_run=dry_run, reason=reason), output)


@app.command()
def disable(
    key: _Key,
    *,
    stored: _Stored = None,
    usage: UsageFile = "",
    force: Annotated[bool, typer.Option("--force", help="Although not every condition holds.")] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Refuse to decrypt with a retired key, to see whether anybody misses it. `enable` undoes it."""
    if force and not reason:
        raise KleidiError(faults.CONFIG, "--force needs a --reason")
    settings = load()
    proof = _counted(settings, key, usage) if usage else Proof(stored)
    command = Command(Verb.DISABLE, key=key, force=force, reason=reason, dry_run=dry_run)
    _change(replace(command, stored=proof.objects), output, proof.doubt)


@app.command()
def enable(key: _Key, *, dry_run: DryRun = False, output: Printed = Output.TEXT, reason: Reason = "") -> None:
    """Decrypt with a disabled key again."""
    _change(Command(Verb.ENABLE, key=key, dry_run=dry_run, reason=reason), output)


@app.command()
def destroy(
    key: _Key,
    *,
    typed: Annotated[str, typer.Option("--key-id", help="The whole key id, to show that it is meant.")] = "",
    stored: _Stored = None,
    usage: UsageFile = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
    reason: Reason = "",
) -> None:
    """Remove a disabled key for ever. Not to be undone; there is no --yes."""
    settings = load()
    proof = _counted(settings, key, usage) if usage else Proof(stored)
    command = Command(Verb.DESTROY, key=key, typed=typed, dry_run=dry_run, reason=reason)
    _change(replace(command, stored=proof.objects), output, proof.doubt)


@app.command()
def check(key: _Key, *, stored: _Stored = None, usage: UsageFile = "", output: Printed = Output.TEXT) -> None:
    """Whether it is safe to do without a key, condition by condition."""
    settings = load()
    proof = _counted(settings, key, usage) if usage else Proof(stored)
    key_id, found = _check(settings, key, proof.objects)
    if proof.doubt:
        # The server knows only that there is no proof.
        found = [
            replace(one, text=proof.doubt) if one.name == Question.NOTHING_STORED else one for one in found
        ]
    verdicts = {"may_disable": may_disable(found), "may_destroy": may_destroy(found)}
    if output is Output.JSON:
        fields = {"schema": SCHEMA, "key_id": key_id, "conditions": [asdict(one) for one in found]}
        typer.echo(json.dumps({**fields, **verdicts}, indent=2))
    else:
        typer.echo(key_id)
        for one in found:
            typer.echo(f"  {one.verdict:8} {one.name:15} {one.text}")
        for name, verdict in verdicts.items():
            typer.echo(f"  {name.replace('_', ' ')}: {'yes' if verdict else 'no'}")
    raise typer.Exit(Exit.OK if verdicts["may_disable"] else Exit.REFUSED)


def _counted(settings: Settings, name: str, document: str) -> Proof:
    """How many objects a whole count found under the key of this *name*."""
    text = given.read(document, MAX_SIZE, larger=faults.USAGE_INVALID)
    key_id = next((row.key_id for row in _rows(settings) if name in (row.name, row.key_id)), name)
    return stored_under(text, key_id)


def _change(command: Command, output: Output, doubt: str = "") -> None:
    """*doubt* is why the count that was given is no proof."""
    try:
        changed = carry_out(load(), command)
    except KleidiError as error:
        if not doubt or error.fault is not faults.KEY_IN_USE:
            raise
        raise KleidiError(error.fault, f"{error.detail}; of the count: {doubt}") from error
    if output is Output.JSON:
        typer.echo(changed.to_json())
    else:
        advice = [] if command.dry_run else after(command.verb, changed.key.name)
        typer.echo("\n".join([changed.to_text(), *advice]))


def carry_out(settings: Settings, command: Command) -> Changed:
    """Through the server, or on the volume itself while none runs."""
    from appliance.client import admin

    by_hand = replace(command, by=assembly.here())
    return reach.carried_out(
        settings,
        lambda: admin.change(settings.admin_socket, admin.change_request(command)),
        lambda opened, operations: Changed.of(operations.run(opened, by_hand)),
    )


def _rows(settings: Settings) -> list[KeyRow]:
    from appliance.client import admin

    def ask() -> list[KeyRow]:
        report = admin.ask(settings.admin_socket)
        fault = faults.named(report.reason_id)
        if fault is not None and not report.keys:
            # Sealed or empty: no keys known is not the same as no keys.
            raise KleidiError(fault)
        return report.keys

    def look(opened: Opened, operations: Operations) -> list[KeyRow]:
        rows = [(KeyRow.of(key), operations.ledger.use(key.id)) for key in opened.payload.keyset.keys]
        return [replace(row, wrapped=use.wrapped, unwrapped=use.unwrapped) for row, use in rows]

    return reach.carried_out(settings, ask, look)


def _check(settings: Settings, key: str, stored: int | None) -> tuple[str, list[Condition]]:
    from appliance.client import admin
    from appliance.keys import lifecycle

    def ask() -> tuple[str, list[Condition]]:
        reply = admin.check(settings.admin_socket, admin.check_request(key, stored))
        return reply.key_id, [Condition(c.name, Verdict(c.verdict), c.text) for c in reply.conditions]

    def look(opened: Opened, operations: Operations) -> tuple[str, list[Condition]]:
        found = lifecycle.find(opened.payload.keyset, key)
        return found.id, operations.conditions(opened.payload.keyset, found, stored)

    return reach.carried_out(settings, ask, look)
