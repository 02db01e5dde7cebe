"""What keeps the key of a slot `tpm`: this machine's TPM 2.0, and no other's.

A disk, a snapshot or a backup without the machine opens nothing; who is root on it, or boots it with that
disk from elsewhere, opens it. Bound to PCRs, the latter only where what was measured is the same.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.tpm import parent, pcrs, sealed
from appliance.tpm.about import about
from appliance.tpm.device import SECONDS, conversation
from appliance.tpm.errors import TpmError, Trouble
from appliance.tpm.sealed import Sealed
from appliance.tpm.wire import Exchange
from appliance.volume.slot import KEY_SIZE

KIND: Final = "tpm"
FAULTS: Final[Mapping[Trouble, Fault]] = {
    Trouble.MISSING: faults.TPM_MISSING,
    Trouble.FORBIDDEN: faults.TPM_FORBIDDEN,
    Trouble.OTHER: faults.TPM_OTHER,
    Trouble.PCR: faults.TPM_PCR,
    Trouble.UNMEASURED: faults.TPM_UNMEASURED,
    Trouble.LOCKED: faults.TPM_LOCKED,
    Trouble.OWNED: faults.TPM_OWNED,
    Trouble.BUSY: faults.TPM_BUSY,
    Trouble.ANSWER: faults.TPM_ANSWER,
    Trouble.CORRUPT: faults.SEAL_CORRUPT,
}
_PCRS: Final = re.compile(r"\d{1,2}(,\d{1,2})*", re.ASCII)
# Of a PCR's value, so that it can be said which one changed: nothing depends on it.
_KNOWN_BY: Final = 8
_MOST_TEXT: Final = 2048


@contextmanager
def talk(path: Path, seconds: float = SECONDS) -> Iterator[Exchange]:
    """A conversation whose errors are our faults."""
    try:
        with conversation(path, seconds) as exchange:
            yield exchange
    except TpmError as error:
        raise KleidiError(FAULTS[error.trouble], error.detail) from error


@dataclass(frozen=True)
class TpmEscrow:
    """The Escrow of that kind; new slots are bound to *registers*."""

    path: Path
    registers: tuple[int, ...] = ()
    seconds: float = SECONDS
    kind = KIND

    @classmethod
    def of(cls, settings: object, pcrs: str = "") -> "TpmEscrow":
        """From what has `tpm`, a path. Raises E-COMMAND-LINE for *pcrs* that are none: "7" or "7,11"."""
        path: Path = getattr(settings, KIND)
        try:
            return cls(path, _registers(pcrs.replace(" ", "")))
        except ValueError as error:
            raise KleidiError(faults.COMMAND_LINE, f"--pcrs {pcrs}: as 7 or 7,11, each below 24") from error

    def ready(self) -> None:
        with talk(self.path, self.seconds) as exchange:
            about(exchange)
            sealed.measured(exchange, self.registers)
            with parent.best(exchange):
                pass

    def deposit(self, key: bytes) -> Mapping[str, str]:
        with talk(self.path, self.seconds) as exchange:
            made, values = sealed.seal(exchange, key, self.registers)
        return {
            "parent": made.parent.hex(),
            "public": b64encode(made.public).decode(),
            "private": b64encode(made.private).decode(),
            "pcrs": ",".join(map(str, values)),
            "bank": pcrs.BANK if values else "",
            "expected": ",".join(f"{number}:{_known_by(value)}" for number, value in values.items()),
        }

    def release(self, values: Mapping[str, str]) -> bytes:
        made, registers = _read(values)
        with talk(self.path, self.seconds) as exchange:
            try:
                key = sealed.unseal(exchange, made, registers)
            except TpmError as error:
                if error.trouble is not Trouble.PCR:
                    raise
                raise KleidiError(faults.TPM_PCR, _changed(exchange, values, registers)) from error
        if len(key) != KEY_SIZE:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}")
        return key

    def knows(self, values: Mapping[str, str]) -> bool:
        made, _ = _read(values)
        with talk(self.path, self.seconds) as exchange:
            try:
                with parent.named(exchange, made.parent):
                    return True
            except TpmError as error:
                if error.trouble is not Trouble.OTHER:
                    raise
        return False

    def protection(self, values: Mapping[str, str]) -> str:
        return "tpm+pcrs" if values.get("pcrs") else "tpm"


def _registers(text: str) -> tuple[int, ...]:
    """Raises ValueError unless *text* is a list of PCRs, or empty."""
    if not text:
        return ()
    if not _PCRS.fullmatch(text) or any(int(each) >= pcrs.COUNT for each in text.split(",")):
        raise ValueError(text)
    return tuple(sorted({int(each) for each in text.split(",")}))


def _read(values: Mapping[str, str]) -> tuple[Sealed, tuple[int, ...]]:
    """Raises E-SEAL-CORRUPT for values that `deposit` does not make."""
    try:
        public, private = (values[name] for name in ("public", "private"))
        if max(len(public), len(private)) > _MOST_TEXT:
            raise ValueError("too long")
        made = Sealed(
            bytes.fromhex(values["parent"]),
            b64decode(public, validate=True),
            b64decode(private, validate=True),
        )
        registers = _registers(values["pcrs"])
        if values["bank"] != (pcrs.BANK if registers else ""):
            raise ValueError("a bank that is not known")
    except (KeyError, TypeError, ValueError) as error:
        raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}") from error
    return made, registers


def _known_by(value: bytes) -> str:
    return value[:_KNOWN_BY].hex()


def _changed(exchange: Exchange, values: Mapping[str, str], registers: tuple[int, ...]) -> str:
    """Which PCRs are not what they were, as far as that was written down."""
    expected = values.get("expected", "")[:_MOST_TEXT].split(",")
    with suppress(TpmError):
        now = pcrs.read(exchange, registers)
        changed = [
            str(number) for number, value in now.items() if f"{number}:{_known_by(value)}" not in expected
        ]
        if changed:
            return f"PCR {', '.join(changed)}"
    return f"one of PCR {', '.join(map(str, registers))}"
