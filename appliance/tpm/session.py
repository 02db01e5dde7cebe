"""A session that nobody on the bus reads or changes: salted, encrypted, each answer checked (part 1, 19).

Without it the sealed bytes cross the bus in the clear, in both directions.
"""

import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Final

from appliance.tpm.derivation import decrypted, encrypted, kdfa, salted
from appliance.tpm.errors import Code, TpmError, Trouble, kind
from appliance.tpm.parent import Parent
from appliance.tpm.wire import (
    Command,
    Exchange,
    Reader,
    authorised,
    flush,
    plain,
    sized,
    u16,
    u32,
)

HMAC, POLICY = b"\x00", b"\x01"
_NONCE: Final = 32
_RH_NULL: Final = u32(0x40000007)
_SYMMETRIC: Final = u16(0x0006) + u16(128) + u16(0x0043)  # AES-128-CFB
_SHA256: Final = u16(0x000B)
# Which of the two it is depends on whether the object counts guesses.
_UNPROVED: Final = (Code.BAD_AUTH, Code.AUTH_FAIL)
_REFUSED: Final = "it refuses our proof: something changed the command, or its storage key has a password"
_CONTINUE, _TO_THE_TPM, _FROM_THE_TPM = 0x01, 0x20, 0x40


@contextmanager
def session(exchange: Exchange, parent: Parent, sort: bytes = HMAC) -> Iterator["Session"]:
    """A session of *sort* whose secret only *parent* knows; it is flushed whatever happens."""
    salt, hidden = salted(parent.key)
    ours = secrets.token_bytes(_NONCE)
    answer = plain(
        exchange,
        Command.START_AUTH_SESSION,
        u32(parent.handle) + _RH_NULL + sized(ours) + sized(hidden) + sort + _SYMMETRIC + _SHA256,
    )
    handle, theirs = answer.number(4), answer.sized()
    try:
        answer.end()
        yield Session(exchange, handle, kdfa(salt, b"ATH", theirs, ours), theirs)
    finally:
        # What went wrong before says more; and what did not is done.
        with suppress(TpmError):
            flush(exchange, handle)


class Session:
    """It authorises what has no password, or what its policy lets it."""

    def __init__(self, exchange: Exchange, handle: int, key: bytes, theirs: bytes) -> None:
        self.exchange = exchange
        self.handle = handle
        self._key = key
        self._theirs = theirs

    def run(
        self, code: int, at: tuple[int, bytes], parameters: bytes, *, gives_handle: bool = False
    ) -> tuple[int, Reader]:
        """A command at a handle with its Name: the handle that it gives, or 0, and its parameters.

        What is secret is encrypted: the first parameter of Create, the answer's first of it and of Unseal.
        """
        handle, name = at
        ours = secrets.token_bytes(_NONCE)
        sends, gets = code == Command.CREATE, code in {Command.CREATE, Command.UNSEAL}
        attributes = bytes([_CONTINUE | sends * _TO_THE_TPM | gets * _FROM_THE_TPM])
        if sends:
            parameters = self._first(encrypted, parameters, ours, self._theirs)
        told = sha256(u32(code) + name + parameters).digest()
        proof = self._proof(told, ours, self._theirs, attributes)
        authorisation = u32(self.handle) + sized(ours) + attributes + sized(proof)
        try:
            answer = authorised(self.exchange, code, handle, authorisation, parameters)
        except TpmError as error:
            if kind(error.code) not in _UNPROVED:
                raise
            raise TpmError(Trouble.ANSWER, _REFUSED, error.code) from error
        given = answer.number(4) if gives_handle else 0
        returned = answer.take(answer.number(4))
        theirs, flags, proved = answer.sized(), answer.take(1), answer.sized()
        answer.end()
        said = sha256(u32(0) + u32(code) + returned).digest()
        if not hmac.compare_digest(proved, self._proof(said, theirs, ours, flags)):
            raise TpmError(Trouble.ANSWER, "its proof is wrong")
        self._theirs = theirs
        if gets:
            returned = self._first(decrypted, returned, theirs, ours)
        return given, Reader(returned)

    def _proof(self, told: bytes, newer: bytes, older: bytes, attributes: bytes) -> bytes:
        return hmac.digest(self._key, told + newer + older + attributes, "sha256")

    def _first(
        self, turn: Callable[[bytes, bytes], bytes], parameters: bytes, newer: bytes, older: bytes
    ) -> bytes:
        """Parameters with the first of them encrypted, or decrypted; its size stays readable."""
        whole = Reader(parameters)
        first = whole.sized()
        return sized(turn(kdfa(self._key, b"CFB", newer, older), first)) + whole.rest()
