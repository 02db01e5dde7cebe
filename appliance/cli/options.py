"""Options that several commands have: named, explained and read in one way."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


Printed = Annotated[Output, typer.Option("--output", "-o", help="For people or for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Reason = Annotated[str, typer.Option("--reason", help="For the audit log.")]
UsageFile = Annotated[
    str, typer.Option("--usage", metavar="FILE", help="What `kleidi usage -o json` printed; - reads stdin.")
]
EtcdPrefix = Annotated[str, typer.Option("--prefix", help="The API server's --etcd-prefix.")]
