"""The SoftHSM module of this process: where it is, which token directory it serves, what that holds."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Self

from PyKCS11 import CKF_RW_SESSION, CKF_TOKEN_INITIALIZED, CKU_SO, PyKCS11Error, PyKCS11Lib

from softhsm import directory, module
from softhsm.direct import Direct
from softhsm.errors import (
    ModuleMissingError,
    ModuleUnusableError,
    SoftHsmError,
    TokenLostError,
    TokenNotFoundError,
    translated,
)
from softhsm.lifetime import LOCK, Lifetime
from softhsm.token import Token

_MODULE: Final = "libsofthsm2.so"
_MAKER: Final = "SoftHSM"
_LABEL_SIZE: Final = 32
# SoftHSM hashes a PIN about 1600 times and never locks out, and either PIN opens every key: 22 characters of
# base64 are the 128 random bits that makes bearable. 255 is SoftHSM's own limit.
_PIN_SIZES: Final = range(22, 256)


class Library:
    # The module's state is the process's: a second one loaded beside it would be the same one.
    _loaded: ClassVar["Library | None"] = None

    def __init__(self, path: Path) -> None:
        self.module = path
        self._life: Lifetime | None = None
        self._tokens: Path | None = None
        self._listed: list[Token] = []
        self.unreadable = 0

    @classmethod
    def find(cls, path: Path | None = None) -> Self:
        """Find the module at *path*, or where distributions put it."""
        if path is not None:
            module.check(path)
            return cls(path)
        candidates = _installed()
        for candidate in candidates:
            if os.path.lexists(candidate):
                module.check(candidate)
                return cls(candidate)
        raise ModuleMissingError(f"no {_MODULE} in {', '.join(str(c.parent) for c in candidates)}")

    def load(self, tokens: Path) -> None:
        """Serve the tokens in the directory *tokens*. Whatever was opened before is lost."""
        with LOCK:
            if Library._loaded not in (None, self):
                raise SoftHsmError("load: another Library of this process is loaded")
            present = directory.check(tokens)
            configuration = directory.configure(tokens)
            self.unload()
            os.environ["SOFTHSM2_CONF"] = str(configuration.absolute())
            self._life, self._tokens, Library._loaded = self._begun(), tokens, self
            self._listed = _listed(self._life, directory.populated(tokens))
            self.unreadable = present - len(self._listed)

    def unload(self) -> None:
        with LOCK:
            if self._life is not None:
                life, self._life, self._tokens, Library._loaded = self._life, None, None, None
                self._listed, self.unreadable = [], 0
                life.end()

    def _begun(self) -> Lifetime:
        pkcs11 = PyKCS11Lib()
        try:
            with module.mapped(self.module):
                pkcs11.load(str(self.module))
                maker = pkcs11.getInfo().manufacturerID.rstrip(" \0")
                if maker == _MAKER:
                    return Lifetime(pkcs11, Direct(self.module))
        except PyKCS11Error as error:
            raise translated(error, "load") from error
        pkcs11.unload()
        raise ModuleUnusableError(f"{self.module} is {maker}'s module, not {_MAKER}'s")

    def initialize_token(self, label: str, user_pin: str, so_pin: str) -> Token:
        """Make the one token of an empty token directory."""
        padded = _padded(label)
        _check_pins(user_pin, so_pin)
        with LOCK:
            tokens = self._required()[1]
            if directory.entries(tokens):
                # Asked of the directory, for SoftHSM does not list a token that it cannot read.
                raise SoftHsmError("initialize: the token directory is not empty")
            serial = self._initialize(padded, user_pin, so_pin)
            # A token moves to the slot named by its serial at the next C_Initialize.
            self.load(tokens)
            return self.find_token(serial)

    def tokens(self) -> list[Token]:
        """The tokens that were in the directory when it was loaded, but for *unreadable* ones."""
        self._required()
        return list(self._listed)

    def find_token(self, serial: str) -> Token:
        found = [token for token in self.tokens() if token.serial == serial]
        if len(found) != 1:
            raise TokenNotFoundError(f"{len(found)} tokens have the serial {serial}")
        return found[0]

    def _initialize(self, padded: str, user_pin: str, so_pin: str) -> str:
        life, _ = self._required()
        with life.entered("initialize") as pkcs11:
            slot = pkcs11.getSlotList(tokenPresent=True)[0]
            pkcs11.initToken(slot, so_pin, padded)
            session = pkcs11.openSession(slot, CKF_RW_SESSION)
            try:
                session.login(so_pin, CKU_SO)
                session.initPin(user_pin)
                session.logout()
            finally:
                session.closeSession()
            return str(pkcs11.getTokenInfo(slot).serialNumber).rstrip(" ")

    def _required(self) -> tuple[Lifetime, Path]:
        if self._life is None or self._tokens is None:
            raise TokenLostError("the module is not loaded")
        return self._life, self._tokens


def _installed() -> list[Path]:
    """The places of Debian (with and without multiarch), Fedora, and a build from source."""
    multiarch = sorted(Path("/usr/lib").glob(f"{platform.machine()}-linux-*/softhsm"))
    others = map(Path, ("/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm"))
    return [folder / _MODULE for folder in (Path("/usr/lib/softhsm"), *multiarch, *others)]


def _padded(label: str) -> str:
    """PyKCS11 hands the label over as it is, and C_InitToken reads 32 bytes whatever its length."""
    if not label.isascii() or not label.isprintable() or not 0 < len(label) <= _LABEL_SIZE:
        raise ValueError(f"a label has 1 to {_LABEL_SIZE} printable ASCII characters")
    return label.ljust(_LABEL_SIZE)


def _check_pins(user_pin: str, so_pin: str) -> None:
    fit = all(len(pin) in _PIN_SIZES and pin.isascii() for pin in (user_pin, so_pin))
    if not fit or user_pin == so_pin:
        raise ValueError("the PINs are two different ones of 22 to 255 random ASCII characters")


def _listed(life: Lifetime, populated: set[str]) -> list[Token]:
    """Ask every slot, before any login: where the directory is read-only, none answers after its own."""
    listed = []
    with life.entered("load") as pkcs11:
        for slot in pkcs11.getSlotList(tokenPresent=True):
            # SoftHSM 2.6 leaves out a token that it cannot read, 2.7 lists it and will not describe it.
            with suppress(PyKCS11Error):
                info = pkcs11.getTokenInfo(slot)
                # One slot always stands open for a token yet to be made.
                if info.flags & CKF_TOKEN_INITIALIZED:
                    # Some programs pad the label with NULs.
                    serial, label = info.serialNumber.rstrip(" "), info.label.rstrip(" \0")
                    listed.append(Token(life, slot, serial, label, populated=serial in populated))
    return listed
