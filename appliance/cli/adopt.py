"""`kleidi adopt`: moving in with what another plugin over SoftHSM has stored."""

import errno
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from appliance import assembly, faults, hardening, regular
from appliance.backup.bundle import MAX_SIZE
from appliance.cli import reach
from appliance.cli.options import DryRun, Output, Printed, tell
from appliance.cli.secrets import read
from appliance.client.report import Changed
from appliance.faults import KleidiError
from appliance.keys.found import FoundToken
from appliance.ops.operations import Command, Verb
from appliance.settings import load
from appliance.volume import durable

_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The old token directory; only read.")]
_PinFile = Annotated[str, typer.Option("--pin-file", metavar="FILE", help="Its user PIN; - reads stdin.")]
_KeyLabel = Annotated[str, typer.Option("--key-label", help="The old key's label, which is its key id too.")]
_TokenLabel = Annotated[str, typer.Option("--token-label", help="Chooses among several tokens.")]
_Annotation = Annotated[
    str, typer.Option("--annotation", help="What its ciphertexts carry, where the key's label does not tell.")
]
_MAX_FILE = 1 << 20  # bytes
_MAX_FILES = 10_000  # five for each key at the most, and nobody has so many


def adopt(
    directory: _Directory,
    *,
    pin_file: _PinFile,
    key_label: _KeyLabel = "kleidi-kms-plugin",
    token_label: _TokenLabel = "",
    annotation: _Annotation = "",
    dry_run: DryRun = False,
    output: Printed = Output.TEXT,
) -> None:
    """Decrypt what the original kleidi or the Kubernetes mock wrote: take over their token, read-only."""
    from appliance.client import admin

    hardening.shut()
    settings = load()
    found = FoundToken(
        read_files(directory), read(pin_file, faults.TOKEN_NOT_ADOPTED).rstrip("\r\n"), token_label, key_label
    )
    request = admin.adopt_request(found, annotation, dry_run=dry_run)
    command = Command(Verb.ADOPT, dry_run=dry_run, by=assembly.here())
    changed = reach.carried_out(
        settings,
        lambda: admin.adopt(settings.admin_socket, request),
        lambda opened, operations: Changed.of(operations.adopt(opened, found, annotation, command)),
    )
    tell(replace(changed, dry_run=dry_run), output)


def read_files(directory: Path) -> dict[str, bytes]:
    """The token files below *directory*, which is SoftHSM's `tokens` or one token's own."""
    try:
        found = durable.files(directory, faults.TOKEN_NOT_ADOPTED)
        inside = [path for _, path in islice(found, _MAX_FILES + 1) if path.suffix != ".lock"]
        if len(inside) > _MAX_FILES:
            raise OSError(errno.E2BIG, f"more than {_MAX_FILES} files")
        # Directories may have been renamed to anything; only which files lie together matters.
        homes = {
            home: f"found-{number}" for number, home in enumerate({path.parent: None for path in inside})
        }
        files, size = {}, 0
        for path in inside:
            content = files[f"{homes[path.parent]}/{path.name}"] = regular.read(path, _MAX_FILE)
            size += len(content)
            # Nor would the server take more at once.
            if size > MAX_SIZE:
                raise OSError(errno.EFBIG, f"more than the {MAX_SIZE >> 20} MiB that a bundle can hold")
    except OSError as error:
        raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"{directory}: {regular.words(error)}") from error
    return files
