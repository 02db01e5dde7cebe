"""`kleidi tpm …`: what this machine's TPM is like, before a slot depends on it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from appliance import screen
from appliance.cli.help import Verbs
from appliance.cli.options import Output, Printed, tell
from appliance.documents import Document
from appliance.faults import Exit, KleidiError
from appliance.settings import load

app = Verbs("The TPM 2.0 that can keep the seal's key.")
# Firmware's boot keys, what a slot is bound to first.
_BOOT = 7


@dataclass(frozen=True)
class Shown(Document):
    """What the TPM says of itself, and whether a slot can be made in it."""

    schema: ClassVar[str] = "kleidi.tpm/v1"
    printed_by: ClassVar[str] = "kleidi tpm show"

    exit: Annotated[int, "the exit code: 0 when a slot can be made"]
    device: Annotated[str, "where it was asked"]
    vendor: Annotated[str, "who made it"]
    firmware: Annotated[str, "its version"]
    failed_guesses: Annotated[int, "wrong guesses that it counts now; none of ours counts"]
    most_guesses: Annotated[int, "after how many it locks itself"]
    forgiven_seconds: Annotated[int, "after how long it forgives one"]
    locked: Annotated[bool, "whether it is locked now"]
    owner_password: Annotated[bool, "whether its owner has one"]
    storage_key: Annotated[
        str, "the Name of the host's storage key 0x81000001; empty when there is none of use"
    ]
    parent: Annotated[str, "the Name of the key that a new slot is sealed under; empty when there is none"]
    pcr7: Annotated[str, "PCR 7 in its SHA-256 bank; empty when it has none"]
    measured: Annotated[bool, "whether anything was measured into it: else --pcrs 7 is refused"]
    problem: Annotated[str, "why no slot can be made, with the fault's id; empty when one can"]

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        locked = ", locked now" if self.locked else ""
        pcr7 = f"{self.pcr7 or 'no SHA-256 bank'} ({'measured' if self.measured else 'not measured'})"
        shown = [
            ("device", screen.safe(self.device)),
            ("vendor", screen.safe(self.vendor)),
            ("firmware", self.firmware),
            ("lock-out", f"{self.failed_guesses}/{self.most_guesses}{locked}"),
            ("forgives", f"one in {self.forgiven_seconds} s"),
            ("owner", "has a password" if self.owner_password else "no password"),
            ("storage key", f"0x81000001 {self.storage_key or 'no'}"),
            ("parent", self.parent or "none"),
            ("PCR 7", pcr7),
            ("slot", self.problem or "can be made"),
        ]
        return "\n".join(screen.rows(shown, columns))


@app.callback()
def _group() -> None:
    """The TPM 2.0 that can keep the seal's key."""


@app.command()
def show(*, output: Printed = Output.TEXT) -> None:
    """What the TPM of KLEIDI_TPM is like, and whether a slot can be made in it; nothing is left there."""
    from appliance.slots.tpm import FAULTS, talk
    from appliance.tpm import parent, pcrs
    from appliance.tpm.about import about
    from appliance.tpm.errors import TpmError, Trouble

    path = load().tpm
    name, value, ends, problem = b"", b"", Exit.OK, ""
    with talk(path) as exchange:
        found = about(exchange)
        kept = parent.persistent(exchange)
        try:
            value = pcrs.read(exchange, [_BOOT])[_BOOT]
        except TpmError as error:
            if error.trouble is not Trouble.UNMEASURED:
                raise
        try:
            with parent.best(exchange) as best:
                name = best.name
        except TpmError as error:
            fault = FAULTS[error.trouble]
            ends, problem = fault.exit, str(KleidiError(fault, error.detail))
    shown = Shown(
        exit=int(ends),
        device=str(path),
        vendor=found.vendor,
        firmware=found.firmware,
        failed_guesses=found.failed,
        most_guesses=found.most_failed,
        forgiven_seconds=found.interval,
        locked=found.locked,
        owner_password=found.owner_password,
        storage_key=kept.name.hex() if kept else "",
        parent=name.hex(),
        pcr7=value.hex(),
        measured=bool(value) and pcrs.measured(value),
        problem=problem,
    )
    tell(shown, output)
    raise typer.Exit(ends)
