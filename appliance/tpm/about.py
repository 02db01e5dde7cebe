"""What a TPM says of itself: who made it, how near it is to locking itself, who owns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.tpm.errors import TpmError, Trouble
from appliance.tpm.wire import Command, Exchange, plain, u32

_PROPERTIES: Final = 6
_FIXED, _VARIABLE, _MOST = 0x100, 0x200, 64
_MAKER, _NAME, _FIRMWARE = 0x105, range(0x106, 0x10A), (0x10B, 0x10C)
_PERMANENT, _FAILED, _MOST_FAILED, _INTERVAL = 0x200, 0x20E, 0x20F, 0x210
_OWNER_AUTH, _IN_LOCKOUT = 1 << 0, 1 << 9


@dataclass(frozen=True)
class About:
    """*failed* of *most_failed* wrong guesses; one is forgiven every *interval* seconds."""

    vendor: str
    firmware: str
    failed: int
    most_failed: int
    interval: int
    locked: bool
    owner_password: bool


def about(exchange: Exchange) -> About:
    """It makes nothing, and asks for no key."""
    fixed, now = _properties(exchange, _FIXED), _properties(exchange, _VARIABLE)
    names = b"".join(u32(fixed.get(each, 0)) for each in (_MAKER, *_NAME))
    maker, model = (_text(part) for part in (names[:4], names[4:]))
    high, low = (fixed.get(each, 0) for each in _FIRMWARE)
    permanent = now.get(_PERMANENT, 0)
    return About(
        f"{maker} {model}".strip(),
        ".".join(str(part) for number in (high, low) for part in (number >> 16, number & 0xFFFF)),
        now.get(_FAILED, 0),
        now.get(_MOST_FAILED, 0),
        now.get(_INTERVAL, 0),
        bool(permanent & _IN_LOCKOUT),
        bool(permanent & _OWNER_AUTH),
    )


def _text(name: bytes) -> str:
    return "".join(chr(sign) for sign in name if chr(sign).isascii() and chr(sign).isprintable()).strip()


def _properties(exchange: Exchange, first: int) -> Mapping[int, int]:
    answer = plain(exchange, Command.GET_CAPABILITY, u32(_PROPERTIES) + u32(first) + u32(_MOST))
    answer.take(1)
    if answer.number(4) != _PROPERTIES or (count := answer.number(4)) > _MOST:
        raise TpmError(Trouble.ANSWER, "those are no properties")
    found = {answer.number(4): answer.number(4) for _ in range(count)}
    answer.end()
    return found
