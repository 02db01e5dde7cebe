"""`kleidi transit …`: what the Transit server must allow, whether it does, and how its key is rotated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from appliance import faults, hardening, screen
from appliance.cli.help import Verbs
from appliance.cli.options import DryRun, Output, Printed, tell
from appliance.documents import Document
from appliance.faults import Exit, Kind, KleidiError
from appliance.settings import load

app = Verbs("Keys in a Transit server: HashiCorp Vault or OpenBao.")

_TokenFile = Annotated[
    Path,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="A token of yours that may rotate the key; for this run alone.",
    ),
]


_TheirKeyId = Annotated[
    str, typer.Argument(metavar="KEY-ID", help="As it stands in etcd: kleidi-kms-plugin_1_1700000000.")
]
_TheirKey = Annotated[
    str,
    typer.Option("--key", metavar="MOUNT/KEY", help="The Transit key that it used. Default: the settings'."),
]


@dataclass(frozen=True)
class TransitFinding:
    """One thing that was looked at."""

    about: Annotated[str, "address, node, login, rights, key, mount, bound, named or latency"]
    verdict: Annotated[str, "ok, warning or failed"]
    said: Annotated[str, "what was found"]
    id: Annotated[str, "the fault's stable id, see errors.md; empty when all is well"]
    remedy: Annotated[str, "what to do; empty when all is well"]


@dataclass(frozen=True)
class TransitCheck(Document):
    """Whether the Transit server can do what this node needs, as this node sees it."""

    schema: ClassVar[str] = "kleidi.transit-check/v1"
    printed_by: ClassVar[str] = "kleidi transit check"

    findings: Annotated[list[TransitFinding], "in the order in which they were looked at"]
    exit: Annotated[int, "the exit code"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        lines = []
        for each in self.findings:
            words = f"{each.said} ({each.id}: {each.remedy})" if each.id else each.said
            lines.append((each.about, f"{each.verdict:8}{words}"))
        return "\n".join(screen.rows(lines, columns))


@dataclass(frozen=True)
class TransitRotated(Document):
    """What a rotation at the server made."""

    schema: ClassVar[str] = "kleidi.transit-rotate/v1"
    printed_by: ClassVar[str] = "kleidi transit rotate"

    key: Annotated[str, "mount and name of the Transit key"]
    version: Annotated[int, "the latest version now"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        told = [
            f"{self.key} has version {self.version} now; what is in use does not change",
            "take it up with `kleidi key stage`, then `kleidi key promote`",
        ]
        return screen.wrapped(told, columns)


@app.command()
def policy() -> None:
    """The least policy for a node, for the mount and key of the settings, as `bao policy write` takes it."""
    from appliance.transit.access import Access
    from appliance.transit.policy import policy as text

    typer.echo(text(Access.of(load())), nl=False)


@app.command()
def check(*, output: Printed = Output.TEXT) -> None:
    """Try everything that a node needs of the Transit server, from here; nothing is changed there."""
    from appliance.engines.transit.checkup import Checkup
    from appliance.engines.transit.engine import TransitEngine
    from appliance.transit.access import Access

    hardening.shut()
    engine = TransitEngine(Access.of(load()))
    try:
        found = [*Checkup(engine).run()]
    finally:
        engine.close()
    told = [
        TransitFinding(
            each.about,
            _verdict(each.fault),
            screen.safe(each.said or (each.fault.sentence if each.fault else "")),
            each.fault.id if each.fault else "",
            each.fault.remedy if each.fault else "",
        )
        for each in found
    ]
    wrong = [each.fault for each in found if each.fault is not None]
    failed = [fault for fault in wrong if fault.kind is not Kind.WARNING]
    ends = [*failed, *wrong][0].exit if wrong else Exit.OK
    tell(TransitCheck(told, int(ends)), output)
    raise typer.Exit(ends)


@app.command()
def rotate(*, token_file: _TokenFile, output: Printed = Output.TEXT) -> None:
    """Ask the Transit server for a new version of the key, with a token of yours; the node's may not.

    Nothing changes for the cluster: the version in use stays until the new one is staged and promoted.
    """
    from dataclasses import replace

    from appliance.engines.transit.engine import TransitEngine
    from appliance.transit.access import Access

    hardening.shut()
    access = replace(Access.of(load()), auth="token", token_file=token_file.absolute())
    if not access.addresses:
        raise KleidiError(faults.TRANSIT_UNSET)
    engine = TransitEngine(access)
    try:
        version = engine.rotate()
    finally:
        engine.close()
    tell(TransitRotated(f"{access.mount}/{access.key}", version), output)


@app.command()
def adopt(
    key_id: _TheirKeyId,
    *,
    key: _TheirKey = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Decrypt what the original kleidi's Vault provider wrote: take over the version that the id names."""
    from dataclasses import replace

    from appliance import assembly
    from appliance.cli import reach
    from appliance.client import admin
    from appliance.client.report import Changed
    from appliance.ops.operations import Command, Verb

    hardening.shut()
    settings = load()
    name = key or f"{settings.transit_mount}/{settings.transit_key}"
    place = "transit", name, key_id
    command = Command(Verb.ADOPT, dry_run=dry_run, by=assembly.here())
    changed = reach.carried_out(
        settings,
        lambda: admin.adopt(settings.admin_socket, admin.take_over_request(*place, dry_run=dry_run)),
        lambda opened, operations: Changed.of(operations.take_over(opened, *place, command)),
    )
    tell(replace(changed, dry_run=dry_run), output)


def _verdict(fault: faults.Fault | None) -> str:
    if fault is None:
        return "ok"
    return "warning" if fault.kind is Kind.WARNING else "failed"
