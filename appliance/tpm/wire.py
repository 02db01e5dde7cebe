"""Commands and answers as bytes: big-endian, a size ahead of what has one (part 1, 18; part 3, 5)."""

import struct
from collections.abc import Callable
from typing import Final

from appliance.tpm.errors import TpmError, Trouble, refusal

# A command's or an answer's most bytes (PTP: 4096); what says that it has more is none.
LARGEST: Final = 4096
HEADER: Final = struct.Struct(">HII")
_PLAIN, _AUTHORISED = 0x8001, 0x8002
_PASSWORD: Final = 0x40000009

# A whole command goes, a whole answer comes; raises TpmError.
Exchange = Callable[[bytes], bytes]


class Command:
    """Command codes (part 2, 6.5.2)."""

    CREATE_PRIMARY: Final = 0x131
    CREATE: Final = 0x153
    LOAD: Final = 0x157
    UNSEAL: Final = 0x15E
    FLUSH_CONTEXT: Final = 0x165
    READ_PUBLIC: Final = 0x173
    START_AUTH_SESSION: Final = 0x176
    GET_CAPABILITY: Final = 0x17A
    PCR_READ: Final = 0x17E
    POLICY_PCR: Final = 0x17F


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def sized(data: bytes) -> bytes:
    """A TPM2B: its size, then itself."""
    return u16(len(data)) + data


class Reader:
    """Takes an answer apart from its beginning. Raises TpmError of ANSWER where its sizes do not fit."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise TpmError(Trouble.ANSWER, "it is too short")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        return self.take(self.number(2))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        if self._at != len(self._data):
            raise TpmError(Trouble.ANSWER, "it is too long")


def plain(exchange: Exchange, code: int, body: bytes = b"") -> Reader:
    """Sent without an authorisation: what is behind the header of the answer."""
    command = HEADER.pack(_PLAIN, HEADER.size + len(body), code) + body
    return opened(exchange(command), _PLAIN)


def with_password(exchange: Exchange, code: int, handle: int, parameters: bytes) -> Reader:
    """Authorised by the empty password, for what nobody set one: handle and parameters of the answer.

    Nothing of that answer is authenticated.
    """
    authorisation = u32(_PASSWORD) + sized(b"") + b"\x01" + sized(b"")
    return authorised(exchange, code, handle, authorisation, parameters)


def authorised(exchange: Exchange, code: int, handle: int, authorisation: bytes, parameters: bytes) -> Reader:
    """*authorisation* is what vouches for the use of *handle*."""
    body = u32(handle) + u32(len(authorisation)) + authorisation + parameters
    command = HEADER.pack(_AUTHORISED, HEADER.size + len(body), code) + body
    return opened(exchange(command), _AUTHORISED)


def opened(answer: bytes, tag: int) -> Reader:
    """What is behind an answer's header. Raises TpmError: what a response code means, or ANSWER."""
    if len(answer) < HEADER.size:
        raise TpmError(Trouble.ANSWER, "it is too short")
    told, size, code = HEADER.unpack_from(answer)
    if size != len(answer):
        raise TpmError(Trouble.ANSWER, "its size is another")
    if code:
        raise refusal(code)
    if told != tag:
        raise TpmError(Trouble.ANSWER, f"its tag is 0x{told:04x}")
    return Reader(answer[HEADER.size :])


def flush(exchange: Exchange, handle: int) -> None:
    plain(exchange, Command.FLUSH_CONTEXT, u32(handle))
