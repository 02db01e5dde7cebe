"""What keeps a slot's key for tests: a TPM, a Transit server, a device; and the settings that name it."""

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

from softhsm.pkcs11.key_pairs import KeyPairs
from tests.pkcs11 import places
from tests.tpm.chip import Chip
from tests.transit.node import admitted
from tests.transit.openbao import single
from tests.usage.authority import Authority

Settings = dict[str, str]
KINDS = ("tpm", "transit", "hsm")


def kept(kind: str, directory: Path) -> AbstractContextManager[Settings]:
    """One of its own, in that *directory*, which there is not yet."""
    directory.mkdir()
    return {"tpm": _chip, "transit": _server, "hsm": _device}[kind](directory)


@cache
def shared(kind: str) -> Settings:
    """One for this whole process; nothing for no *kind*."""
    if not kind:
        return {}
    exits = ExitStack()
    atexit.register(exits.close)
    directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
    return exits.enter_context(kept(kind, directory / kind))


@contextmanager
def _chip(directory: Path) -> Iterator[Settings]:
    with Chip(directory) as chip:
        yield {"tpm": f"unix://{chip.path}"}


@contextmanager
def _server(directory: Path) -> Iterator[Settings]:
    with single(directory / "one", Authority(directory / "ca")) as node:
        yield admitted(node, directory / "login")


@contextmanager
def _device(directory: Path) -> Iterator[Settings]:
    """With its key pair: to look for the primes of one takes NSS up to half a minute."""
    place = places.nss(directory)
    opened = place.device()
    KeyPairs(opened).make("kleidi-slot")
    opened.close()
    options = place.options
    assert options is not None
    yield {
        "pkcs11_module": str(options.module),
        "pkcs11_token": f"label={options.label}",
        "pkcs11_pin_file": str(options.pin_file),
        "pkcs11_parameters": options.parameters,
    }
