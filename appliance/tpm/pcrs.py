"""Platform configuration registers: what the machine measured of its own start, and a policy over them."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Final

from appliance.tpm.errors import TpmError, Trouble
from appliance.tpm.wire import Command, Exchange, plain, sized, u16, u32

COUNT: Final = 24
BANK: Final = "sha256"
_SHA256: Final = u16(0x0B)
_SIZE: Final = 32
_SELECT: Final = COUNT // 8


def selection(numbers: Collection[int]) -> bytes:
    """A selection of *numbers* in the SHA-256 bank."""
    bits = sum(1 << number for number in numbers)
    return u32(1) + _SHA256 + bytes([_SELECT]) + bits.to_bytes(_SELECT, "little")


def read(exchange: Exchange, numbers: Collection[int]) -> Mapping[int, bytes]:
    """Raises TpmError of UNMEASURED where there is no SHA-256 bank."""
    # One at a time: an answer has room for eight, and leaves out what it has no room for.
    return {number: _read(exchange, number) for number in sorted(numbers)}


def _read(exchange: Exchange, number: int) -> bytes:
    answer = plain(exchange, Command.PCR_READ, selection([number]))
    answer.number(4)
    for _ in range(_few(answer.number(4))):
        answer.take(2)
        answer.take(answer.number(1))
    values = [answer.sized() for _ in range(_few(answer.number(4)))]
    answer.end()
    if not values:
        raise TpmError(Trouble.UNMEASURED, "there is no SHA-256 bank")
    if len(values) != 1 or len(values[0]) != _SIZE:
        raise TpmError(Trouble.ANSWER, "that is no PCR")
    return values[0]


def _few(count: int) -> int:
    if count > COUNT:
        raise TpmError(Trouble.ANSWER, "more PCRs than there are")
    return count


def measured(value: bytes) -> bool:
    """Whether anything was ever extended: all 0 is how it starts, all ff how those beyond a firmware's do."""
    return value not in (bytes(_SIZE), b"\xff" * _SIZE)


def policy(values: Mapping[int, bytes]) -> bytes:
    """The policy that PolicyPCR has made of nothing, where the PCRs have these *values*; empty for none."""
    if not values:
        return b""
    digest = sha256(b"".join(values[number] for number in sorted(values))).digest()
    return sha256(bytes(_SIZE) + u32(Command.POLICY_PCR) + selection(values) + digest).digest()


def satisfy(exchange: Exchange, session: int, numbers: Collection[int]) -> None:
    """Let the policy *session* stand for the PCRs as they are now."""
    plain(exchange, Command.POLICY_PCR, u32(session) + sized(b"") + selection(numbers)).end()
