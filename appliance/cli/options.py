"""Options that several commands have: named, explained and read in one way."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Protocol

import typer

from appliance import screen


class Output(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


Printed = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]
KeepTrying = Annotated[bool, typer.Option("--keep-trying", help="Wait for what may heal, then go on.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Reason = Annotated[str, typer.Option("--reason", help="For the audit log.")]
UsageFile = Annotated[
    str, typer.Option("--usage", metavar="FILE", help="What `kleidi usage -o json` printed; - reads stdin.")
]
Snapshot = Annotated[
    str,
    typer.Option(
        "--etcd-snapshot",
        metavar="FILE",
        help="What `etcdctl snapshot save` wrote, also in a zip, gzip, bzip2 or xz; - reads stdin.",
    ),
]
EtcdPrefix = Annotated[str, typer.Option("--prefix", help="The API server's --etcd-prefix.")]


class Answer(Protocol):
    """What a command found or did."""

    def to_json(self) -> str: ...

    def to_text(self, columns: int = ...) -> str: ...


def tell(answer: Answer, output: Output, advice: Sequence[str] = (), *, err: bool = False) -> None:
    """Print it as it was asked for; *advice* is for people alone, *err* where stdout has another reader."""
    if output is Output.JSON:
        typer.echo(answer.to_json(), err=err)
    else:
        typer.echo("\n".join([answer.to_text(screen.width()), *advice]), err=err)
