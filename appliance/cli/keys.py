"""`kleidi key …`: through the running server, or on the volume itself while no server runs."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from appliance import assembly, faults, given
from appliance.cli import reach
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, Output, Printed, Reason, UsageFile, tell
from appliance.client.keys import KeyCheck, KeyList
from appliance.client.report import Changed, KeyRow
from appliance.faults import Exit, KleidiError
from appliance.ops.advice import after
from appliance.ops.check import Question
from appliance.ops.operations import Command, Operations, Verb
from appliance.settings import Settings, load
from appliance.usage.counted import MAX_SIZE
from appliance.usage.proof import Proof, stored_under
from appliance.volume.opening import Opened

app = Verbs("Keys: list, rotate, retire, destroy.")

_Key = Annotated[str, typer.Argument(metavar="KEY", help="v1, v2, … or a key id.")]
_Engine = Annotated[
    str,
    typer.Option("--engine", help="What is to make it: softhsm, transit or pkcs11. Default: KLEIDI_ENGINE."),
]
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
_Force = Annotated[bool, typer.Option("--force", help="Although not every condition holds.")]
_ForceSealKey = Annotated[
    bool, typer.Option("--force", help="Although the seal key is gone: it is lost at the next start.")
]


@app.command("list")
def list_keys(*, output: Printed = Output.TEXT) -> None:
    """Every key with its state, and how often this node used it."""
    tell(KeyList(_rows(load())), output)


@app.command()
def stage(
    *, engine: _Engine = "", dry_run: DryRun = False, output: Printed = Output.TEXT, reason: Reason = ""
) -> None:
    """Make a new key that decrypts but is announced nowhere yet: carry it to the other nodes first."""
    _change(Command(Verb.STAGE, engine=engine, dry_run=dry_run, reason=reason), output)


@app.command()
def promote(
    key: _Key,
    *,
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
    expect: _Expect = "",
    without_backup: _WithoutBackup = False,
    force: _ForceSealKey = False,
    reason: Reason = "",
) -> None:
    """Encrypt with the staged key from now on; the primary one before it becomes retired."""
    command = Command(Verb.PROMOTE, key=key, expect_keyset=expect, dry_run=dry_run, reason=reason)
    _change(replace(command, without_backup=without_backup, force=force), output)


@app.command()
def rotate(
    *,
    engine: _Engine = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
    expect: _Expect = "",
    without_backup: _WithoutBackup = False,
    force: _ForceSealKey = False,
    reason: Reason = "",
) -> None:
    """Stage and promote in one, for a single node. A second run finishes an interrupted one."""
    command = Command(Verb.ROTATE, engine=engine, expect_keyset=expect, dry_run=dry_run, reason=reason)
    _change(replace(command, without_backup=without_backup, force=force), output)


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
    force: _Force = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Refuse to decrypt with a retired key, to see whether anybody misses it. `enable` undoes it."""
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
    if not typed and not dry_run and sys.stdin.isatty() and sys.stderr.isatty():
        typed = typer.prompt("Type the whole key id to destroy it for ever", err=True)
    command = Command(Verb.DESTROY, key=key, typed=typed, dry_run=dry_run, reason=reason)
    _change(replace(command, stored=proof.objects), output, proof.doubt)


@app.command()
def check(key: _Key, *, stored: _Stored = None, usage: UsageFile = "", output: Printed = Output.TEXT) -> None:
    """Whether it is safe to do without a key, condition by condition."""
    settings = load()
    proof = _counted(settings, key, usage) if usage else Proof(stored)
    checked = _check(settings, key, proof.objects)
    if proof.doubt:
        # The server knows only that there is no proof.
        found = [
            replace(one, text=proof.doubt) if one.name == Question.NOTHING_STORED else one
            for one in checked.conditions
        ]
        checked = replace(checked, conditions=found)
    tell(checked, output)
    raise typer.Exit(Exit.OK if checked.may_disable or checked.may_destroy else Exit.REFUSED)


def _counted(settings: Settings, name: str, document: str) -> Proof:
    """How many objects a whole count found under the key of this *name*."""
    text = given.read(document, MAX_SIZE, larger=faults.USAGE_INVALID)
    key_id = next((row.key_id for row in _rows(settings) if name in (row.name, row.key_id)), name)
    return stored_under(text, key_id)


def _change(command: Command, output: Output, doubt: str = "") -> None:
    """*doubt* is why the count that was given is no proof."""
    if command.force and not command.reason:
        raise KleidiError(faults.COMMAND_LINE, "--force needs a --reason")
    try:
        changed = carry_out(load(), command)
    except KleidiError as error:
        if not doubt or error.fault is not faults.KEY_IN_USE:
            raise
        raise KleidiError(error.fault, f"{error.detail}; of the count: {doubt}") from error
    tell(
        changed, output, [] if command.dry_run else after(command.verb, changed.key.name, changed.key.engine)
    )


def carry_out(settings: Settings, command: Command) -> Changed:
    """Through the server, or on the volume itself while none runs."""
    from appliance.client import admin

    by_hand = replace(command, by=assembly.here())
    changed = reach.carried_out(
        settings,
        lambda: admin.change(settings.admin_socket, admin.change_request(command)),
        lambda opened, operations: Changed.of(operations.run(opened, by_hand)),
    )
    return replace(changed, dry_run=command.dry_run)


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


def _check(settings: Settings, key: str, stored: int | None) -> KeyCheck:
    from appliance.client import admin
    from appliance.keys import lifecycle

    def look(opened: Opened, operations: Operations) -> KeyCheck:
        keyset = opened.payload.keyset
        found = lifecycle.find(keyset, key)
        conditions = operations.conditions(keyset, found, stored)
        return KeyCheck.of(found.id, conditions, *operations.judge(keyset, found, conditions))

    return reach.carried_out(
        settings, lambda: admin.check(settings.admin_socket, admin.check_request(key, stored)), look
    )
