"""`kleidi backup …`: make bundles, look into them, bring a node back from one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from appliance import assembly, faults, hardening
from appliance.backup import directory
from appliance.backup.bundle import unpacked
from appliance.backup.report import Created, Examined, Restored
from appliance.backup.restore import lay_aside
from appliance.backup.verify import examine
from appliance.cli import bundle_source
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, EtcdPrefix, Output, Printed, Reason, Snapshot, UsageFile, tell
from appliance.cli.secrets import AskPassphrase, IdentityFile, PassphraseFile, To, opener, sealer
from appliance.faults import Exit, KleidiError
from appliance.settings import load

app = Verbs("Backups: create, verify, restore, drill.")

_Bundle = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")]
_Where = Annotated[
    str,
    typer.Argument(
        metavar="[FILE|DIR|-]",
        help="Where to write it: by default KLEIDI_BACKUP_DIR, else here; - is stdout.",
    ),
]
_Live = Annotated[bool, typer.Option("--against-live", help="Compare with the keys that there are now.")]
_Aside = Annotated[
    Path | None,
    typer.Option("--aside", metavar="DIR", help="Unpack it there, in memory, to look at; restore nothing."),
]


@app.command()
def create(
    where: _Where = "",
    *,
    to: To = None,
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Write every key into one age file: from the running server, or from the volume while none runs."""
    if where == "-" and not dry_run and sys.stdout.isatty():
        raise KleidiError(faults.COMMAND_LINE, "a bundle is binary, and stdout is a terminal; name a file")
    hardening.shut()
    settings = load()
    seal_for = sealer(to, ask=passphrase, file=passphrase_file, default=settings.backup_recipients)
    made = bundle_source.make(settings, seal_for, reason, dry_run=dry_run)
    if where == "-" and not dry_run:
        sys.stdout.buffer.write(made.data)
        return
    path = bundle_source.destination(where or str(settings.backup_dir or "."), made.header)
    if not dry_run:
        directory.put(path, made.data)
    told = Created(str(path), made.header.lineage, made.header.generation, made.keyset, dry_run)
    _tell(told, output)


@app.command()
def verify(
    file: _Bundle,
    *,
    identity: IdentityFile = "",
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    against_live: _Live = False,
    usage: UsageFile = "",
    etcd_snapshot: Snapshot = "",
    prefix: EtcdPrefix = "/registry",
    output: Printed = Output.TEXT,
) -> None:
    """Open a bundle in memory, prove every key in it, and remember that it was done."""
    hardening.shut()
    settings, data = load(), directory.take(file)
    # Counted first: the keys are in memory no longer than they must be.
    stored = bundle_source.stored(usage, etcd_snapshot, prefix)
    key = opener(data, identity=identity, ask=passphrase, file=passphrase_file)
    _tell(bundle_source.verify(settings, file, data, key, live=against_live, stored=stored), output)


@app.command()
def drill(
    *,
    identity: IdentityFile = "",
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    output: Printed = Output.TEXT,
) -> None:
    """Verify the newest bundle in KLEIDI_BACKUP_DIR against the keys that there are now, and record it."""
    hardening.shut()
    settings = load()
    if settings.backup_dir is None:
        raise KleidiError(faults.CONFIG, "KLEIDI_BACKUP_DIR: where is the newest bundle?")
    file = directory.newest(settings.backup_dir, bundle_source.lineage(settings))
    data = directory.kept(file)
    key = opener(data, identity=identity, ask=passphrase, file=passphrase_file)
    _tell(bundle_source.verify(settings, file, data, key, live=True, stored=None), output)


@app.command()
def restore(
    file: _Bundle,
    *,
    identity: IdentityFile = "",
    passphrase: AskPassphrase = False,
    passphrase_file: PassphraseFile = "",
    aside: _Aside = None,
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Bring an empty volume back from a bundle: the same lineage and keys, sealed by this node's own key."""
    hardening.shut()
    settings, data = load(), directory.take(file)
    key = opener(data, identity=identity, ask=passphrase, file=passphrase_file)
    found = examine(data, key, assembly.engines(settings), settings.memory_dir)
    header, payload = found.header, found.payload
    if aside is not None:
        if not dry_run:
            lay_aside(unpacked(data, key), aside)
            typer.echo(f"WARNING: whoever reads {aside} has every key. Remove it: rm -r {aside}", err=True)
        _tell(Restored.of(str(aside), found, None, aside=True, dry_run=dry_run), output)
        return
    restorer = assembly.restorer(settings)
    done = restorer.run(header, payload, source=file.name, dry_run=dry_run)
    recorded = bundle_source.record(settings, header, payload, file) if done else None
    warnings = done.said if done else [str(fault) for fault in restorer.warnings(header, payload)]
    told = Restored.of(str(file), found, recorded, warnings=list(warnings), dry_run=dry_run)
    _tell(told, output)


def _tell(told: Created | Examined | Restored, output: Output) -> None:
    tell(told, output)
    raise typer.Exit(Exit.OK if told.well else Exit.DEGRADED)
