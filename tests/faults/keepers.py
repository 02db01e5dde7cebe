"""What keeps a slot's key while a verb is disturbed: one of each for the whole run, outside of every site."""

import atexit
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from softhsm.pkcs11.key_pairs import KeyPairs
from tests.pkcs11 import places
from tests.tpm.chip import Chip
from tests.transit.node import admitted
from tests.transit.openbao import single
from tests.usage.authority import Authority

KINDS = ("tpm", "transit", "hsm")


@cache
def settings(kind: str) -> dict[str, str]:
    """By names without KLEIDI_; nothing for no *kind*. It ends with this process."""
    if not kind:
        return {}
    exits = ExitStack()
    atexit.register(exits.close)
    directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
    made = {"tpm": _chip, "transit": _server, "hsm": _device}[kind](exits, directory)
    return {name.upper(): value for name, value in made.items()}


def _chip(exits: ExitStack, directory: Path) -> dict[str, str]:
    (directory / "chip").mkdir()
    chip = exits.enter_context(Chip(directory / "chip"))
    return {"tpm": f"unix://{chip.path}"}


def _server(exits: ExitStack, directory: Path) -> dict[str, str]:
    node = exits.enter_context(single(directory / "one", Authority(directory / "ca")))
    return admitted(node, directory / "login")


def _device(_exits: ExitStack, directory: Path) -> dict[str, str]:
    place = places.nss(directory)
    opened = place.device()
    KeyPairs(opened).make("kleidi-slot")
    opened.close()
    options = place.options
    assert options is not None
    return {
        "pkcs11_module": str(options.module),
        "pkcs11_token": f"label={options.label}",
        "pkcs11_pin_file": str(options.pin_file),
        "pkcs11_parameters": options.parameters,
    }
