"""The kinds of slots: the one list that settings, options, admin calls and pages are made from.

A new kind is a module with an `Opening`, as slots/passphrase.py has one, and a row here. The modules are
imported by who needs them: a server that opens by its key file pays for no other kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import faults
from appliance.faults import KleidiError
from appliance.slots.asked import Asked, Opening
from appliance.volume.custody import Custody
from appliance.volume.slot import MachineSlot

if TYPE_CHECKING:
    from appliance.slots.escrow import Escrow


@dataclass(frozen=True)
class Kind:
    """*given*: whether it was asked for. *by_itself*: a machine opens with it, so KLEIDI_SLOT may name it.

    *escrow*: something else keeps its key, so that nothing has to be handed over.
    """

    name: str
    about: str
    opening: Callable[[], Opening]
    given: Callable[[Asked], bool]
    # From where the settings have the seal key, and the settings.
    by_itself: Callable[[Path, object], MachineSlot] | None = None
    escrow: bool = False


def _key_file(kind: str) -> Opening:
    from appliance.slots import keyfile

    return keyfile.Opening(kind)


def _passphrase() -> Opening:
    from appliance.slots import passphrase

    return passphrase.Opening()


def _recovery() -> Opening:
    from appliance.slots import recovery

    return recovery.Opening()


def _escrow(name: str, about: str, keeper: "Callable[[Asked], Escrow]", *, try_seconds: float) -> Kind:
    """A kind whose key something else keeps. Asked every minute whether it is there."""

    def opening() -> Opening:
        from appliance.slots import escrow

        return escrow.Opening(keeper)

    def by_itself(seal_key: Path, settings: object) -> MachineSlot:
        from appliance.slots.escrow import EscrowSlot

        asked = Asked(seal_key.parent, seal_key, settings)
        return EscrowSlot(name, seal_key, lambda: keeper(asked), 60, try_seconds)

    return Kind(name, about, opening, lambda asked: asked.kind == name, by_itself, escrow=True)


def _tpm(asked: Asked) -> "Escrow":
    from appliance.slots.tpm import TpmEscrow

    return TpmEscrow.of(asked.settings, asked.pcrs)


def _transit(asked: Asked) -> "Escrow":
    from appliance.slots.transit import TransitEscrow

    return TransitEscrow.of(asked.settings)


def _hsm(asked: Asked) -> "Escrow":
    from appliance.slots.hsm import HsmEscrow

    return HsmEscrow.of(asked.settings)


def _file(kind: str) -> Callable[[Path, object], MachineSlot]:
    return lambda seal_key, _settings: Custody(kind, seal_key)


_ALL = (
    Kind(
        "file",
        "a key file outside the volume",
        partial(_key_file, "file"),
        lambda asked: asked.key_file is not None,
        _file("file"),
    ),
    Kind(
        "volume",
        "a key file beside the seal, which protects nothing and is for demos",
        partial(_key_file, "volume"),
        lambda _asked: False,
        _file("volume"),
    ),
    Kind("passphrase", "a person's", _passphrase, lambda asked: asked.passphrase is not None),
    Kind("recovery", "an age identity in a safe", _recovery, lambda asked: asked.identity is not None),
    # A chip is slow, and the whole machine's: tried once a day.
    _escrow("tpm", "by this machine's TPM 2.0", _tpm, try_seconds=24 * 3600),
    _escrow("transit", "by a Transit server", _transit, try_seconds=600),
    _escrow("hsm", "by a key pair in a hardware module", _hsm, try_seconds=600),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
BY_ITSELF = tuple(kind for kind in _ALL if kind.by_itself)


def machine_slot(name: str, seal_key: Path, settings: object = None) -> MachineSlot:
    """The slot that KLEIDI_SLOT names."""
    by_itself = KINDS[name].by_itself
    if by_itself is None:
        raise AssertionError(f"{name} opens nothing by itself")
    return by_itself(seal_key, settings)


def asked_for(asked: Asked) -> Kind:
    """The kind of what was given. Raises E-COMMAND-LINE unless it is one."""
    found = [kind for kind in _ALL if kind.given(asked)]
    if len(found) != 1:
        which = ", not ".join(kind.name for kind in found) or "nothing was given"
        options = "--passphrase-file, --passphrase, --identity, --key-file or --kind"
        raise KleidiError(faults.COMMAND_LINE, f"give one of {options}: {which}")
    return found[0]
