"""What a token can do for us, tried on a key that lasts as long as its session: the device keeps nothing.

Every step that fails ends the rest, for that stands upon it; what was seen until then is told all the same.
The PIN is given once, and not at all where one wrong try would lock it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from appliance import faults, screen
from appliance.documents import Document
from appliance.engines.pkcs11 import inspection
from appliance.faults import Exit, Fault
from appliance.pkcs11 import module_file, words
from appliance.pkcs11.options import Pkcs11Options
from appliance.pkcs11.pin_file import PinFile
from softhsm.pkcs11 import errors, key
from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.cipher import draws_nonces
from softhsm.pkcs11.constants import TokenFlag
from softhsm.pkcs11.gcm import NONCE_SIZE
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.pin import PinGuard
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Token, Wanted

_PLAINTEXT: Final = b"kleidi hsm check"


@dataclass(frozen=True)
class Finding:
    """What somebody should mend or know."""

    id: Annotated[str, "the fault's stable id, see errors.md"]
    message: Annotated[str, "what is wrong, in a sentence that belongs to the id"]
    remedy: Annotated[str, "what to do"]
    detail: Annotated[str, "which, why, how much; empty when there is nothing to add"]


@dataclass(frozen=True)
class Checked(Document):
    """What the token of a hardware module can do for us; tried on a key that is gone again."""

    schema: ClassVar[str] = "kleidi.hsm-check/v1"
    printed_by: ClassVar[str] = "kleidi hsm check"

    exit: Annotated[int, "the exit code"]
    module: Annotated[str, "the library's file"]
    library: Annotated[str, "what it says it is; empty when it was not asked, as is all below"]
    serial: Annotated[str, "the token's"]
    label: Annotated[str, "the token's"]
    model: Annotated[str, "the token's"]
    max_sessions: Annotated[int, "how many the token allows; 0 when it sets no limit or does not tell"]
    login: Annotated[bool, "whether the PIN was taken, or none is wanted"]
    nonces: Annotated[str, "who makes them for AES-GCM: ours or module; none where it does not work"]
    loose: Annotated[list[str], "attributes of a key that are otherwise than was asked for"]
    unknown: Annotated[list[str], "attributes of a key of which the token says nothing"]
    findings: Annotated[list[Finding], "what should be mended or known"] = field(default_factory=list)

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        shown = [
            ("module", self.module),
            ("library", self.library),
            ("token", f'"{self.label}" serial {self.serial} {self.model}'.rstrip() if self.model else ""),
            ("sessions", str(self.max_sessions or "no limit known")),
            ("login", "yes" if self.login else "no"),
            (
                "AES-GCM",
                {"ours": "yes, nonces ours", "module": "yes, nonces the module's"}.get(self.nonces, "no"),
            ),
            ("loose", ", ".join(self.loose) or "nothing"),
            ("not told", ", ".join(self.unknown) or "nothing"),
        ]
        told = [
            f"{each.id}: {each.message}. {each.remedy}." + (f" ({each.detail})" if each.detail else "")
            for each in self.findings
        ]
        rows = [(name, screen.safe(words_) or "-") for name, words_ in shown]
        return "\n".join(
            [*screen.rows(rows, columns), screen.wrapped(map(screen.safe, told), columns)]
        ).rstrip()


@dataclass
class _Seen:
    library: str = ""
    token: Token | None = None
    login: bool = False
    nonces: str = "none"
    loose: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    findings: dict[Fault, str] = field(default_factory=dict)


def check(options: Pkcs11Options) -> Checked:
    """May take as long as the module does; what is wrong stands in the answer."""
    seen = _Seen()
    try:
        _look(options, seen)
    except errors.Pkcs11Error as error:
        seen.findings[words.fault(error)] = str(error)
    token = seen.token
    worst = [each.exit for each in seen.findings if each.exit is not Exit.DEGRADED]
    return Checked(
        exit=int(worst[-1] if worst else Exit.DEGRADED if seen.findings else Exit.OK),
        module=str(options.module),
        library=seen.library,
        serial=token.serial if token else "",
        label=token.label if token else "",
        model=token.model if token else "",
        max_sessions=token.max_sessions if token else 0,
        login=seen.login,
        nonces=seen.nonces,
        loose=seen.loose,
        unknown=seen.unknown,
        findings=[Finding(each.id, each.sentence, each.remedy, told) for each, told in seen.findings.items()],
    )


def _look(options: Pkcs11Options, seen: _Seen) -> None:
    module = Module(lambda: module_file.load(options), options.parameters)
    module.initialize()
    try:
        seen.library = module.about()
        token = seen.token = tokens.find(module, Wanted(options.serial, options.label))
        seen.findings |= inspection.flags(token)
        tokens.demand_gcm(module, token)
        with _opened(module, token) as session:
            if token.flags & TokenFlag.LOGIN_REQUIRED:
                pin = PinFile(options.pin_file) if options.pin_file else None
                PinGuard(pin).log_in(session, token)
            seen.login = True
            _try_key(session, seen)
    finally:
        module.finalize()


@contextmanager
def _opened(module: Module, token: Token) -> Iterator[Session]:
    session = Session(module, token.slot)
    try:
        yield session
    finally:
        session.close()


def _try_key(session: Session, seen: _Seen) -> None:
    handle = key.temporary(session)
    try:
        seen.loose, seen.unknown = key.missing(session, handle), key.unknown(session, handle)
        # It is meant to go.
        seen.loose = [name for name in seen.loose if name != "TOKEN"]
        if seen.loose:
            seen.findings[faults.PKCS11_KEY_LOOSE] = ", ".join(seen.loose)
        draws = draws_nonces(session, handle)
        _round_trip(session, handle, bytes(NONCE_SIZE) if draws else os.urandom(NONCE_SIZE))
        seen.nonces = "module" if draws else "ours"
    finally:
        with suppress(errors.Pkcs11Error):
            session.destroy(handle)


def _round_trip(session: Session, handle: int, nonce: bytes) -> None:
    aad = b"associated"
    used, ciphertext = session.encrypt(handle, nonce, _PLAINTEXT, aad)
    if session.decrypt(handle, used, ciphertext, aad) != _PLAINTEXT:
        raise errors.NoGcmError("AES-GCM does not give back what it took")
    try:
        session.decrypt(handle, used, ciphertext, b"Associated")
    except errors.SuspectError:
        return
    raise errors.NoGcmError("AES-GCM takes associated data that are not those it was given")
