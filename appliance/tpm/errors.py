"""What keeps a TPM from doing as it was asked, named by what to do about it. No text holds a secret."""

from enum import Enum
from typing import Final

_FORMAT_ONE: Final = 0x80
# Which parameter, handle or session of the command was at fault, and which of the three: not what is wrong.
_WHICH: Final = 0xF40


class Trouble(Enum):
    """The value is the room's own sentence for it."""

    MISSING = "there is no TPM that answers"
    FORBIDDEN = "it may not be opened"
    OTHER = "it is not the TPM that made this"
    PCR = "what was measured is not what was measured when this was made"
    UNMEASURED = "nothing was measured"
    LOCKED = "it is locked against guessing"
    OWNED = "its owner does not let a storage key be made"
    BUSY = "others keep it busy"
    ANSWER = "its answer is not what it answered"
    CORRUPT = "what it should open is damaged"


class TpmError(Exception):
    """*code* is the TPM's response code, 0 where it gave none."""

    def __init__(self, trouble: Trouble, detail: str = "", code: int = 0) -> None:
        super().__init__(f"{trouble.value}: {detail}" if detail else trouble.value)
        self.trouble = trouble
        self.detail = detail
        self.code = code


def kind(code: int) -> int:
    """A response code without what it says of the place in the command."""
    return code & ~_WHICH if code & _FORMAT_ONE else code


class Code:
    """Response codes, as `kind` has them (part 2, 6.6)."""

    INITIALIZE: Final = 0x100
    FAILURE: Final = 0x101
    PCR_CHANGED: Final = 0x128
    VALUE: Final = 0x84
    HIERARCHY: Final = 0x85
    HANDLE: Final = 0x8B
    AUTH_FAIL: Final = 0x8E
    SIZE: Final = 0x95
    POLICY_FAIL: Final = 0x9D
    INTEGRITY: Final = 0x9F
    BAD_AUTH: Final = 0xA2
    OBJECT_MEMORY: Final = 0x902
    SESSION_MEMORY: Final = 0x903
    MEMORY: Final = 0x904
    YIELDED: Final = 0x908
    TESTING: Final = 0x90A
    NV_RATE: Final = 0x920
    LOCKOUT: Final = 0x921
    RETRY: Final = 0x922


_MEANT: Final = {
    Code.INITIALIZE: (Trouble.MISSING, "it was never started"),
    Code.FAILURE: (Trouble.MISSING, "it is in failure mode"),
    Code.PCR_CHANGED: (Trouble.PCR, "a PCR was extended meanwhile"),
    Code.POLICY_FAIL: (Trouble.PCR, ""),
    Code.HIERARCHY: (Trouble.OWNED, "the owner's hierarchy is off"),
    Code.BAD_AUTH: (Trouble.OWNED, "the owner has a password"),
    Code.INTEGRITY: (Trouble.CORRUPT, ""),
    Code.SIZE: (Trouble.CORRUPT, ""),
    Code.OBJECT_MEMORY: (Trouble.BUSY, "its slots for objects are full"),
    Code.SESSION_MEMORY: (Trouble.BUSY, "its slots for sessions are full"),
    Code.MEMORY: (Trouble.BUSY, "its memory is full"),
    Code.YIELDED: (Trouble.BUSY, "it puts us off"),
    Code.TESTING: (Trouble.BUSY, "it tests itself"),
    Code.NV_RATE: (Trouble.BUSY, "it puts us off"),
    Code.RETRY: (Trouble.BUSY, "it puts us off"),
    Code.LOCKOUT: (Trouble.LOCKED, ""),
}


def refusal(code: int) -> TpmError:
    """The error that a response *code* other than 0 is."""
    trouble, words = _MEANT.get(kind(code), (Trouble.ANSWER, "a refusal that is none of this command's"))
    return TpmError(trouble, f"{words}, 0x{code:03x}" if words else f"0x{code:03x}", code)
