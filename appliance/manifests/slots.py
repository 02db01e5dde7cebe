"""What opens the seal by itself on a node, as the operator chose it there."""

import re
from dataclasses import dataclass
from enum import StrEnum

_RECIPIENT = re.compile(r"age1[a-z0-9]+")


class SlotName(StrEnum):
    FILE = "file"
    TPM = "tpm"


@dataclass(frozen=True)
class Slot:
    """Without a name: what the node has already, a file where it has nothing.

    Raises ValueError for a recipient that is none, and for a TPM alone: a chip can be cleared, or die.
    """

    name: SlotName | None = None
    recovery: str = ""

    def __post_init__(self) -> None:
        if self.recovery and not _RECIPIENT.fullmatch(self.recovery):
            raise ValueError("--recovery is no age recipient, age1…")
        if self.name is SlotName.TPM and not self.recovery:
            raise ValueError("--slot tpm needs --recovery age1…: what only one chip opens is lost with it")

    @property
    def settings(self) -> dict[str, str]:
        """What differs from the defaults."""
        return {
            **({"KLEIDI_SLOT": self.name.value} if self.name not in (None, SlotName.FILE) else {}),
            **({"KLEIDI_RECOVERY": self.recovery} if self.recovery else {}),
        }

    @property
    def decides(self) -> frozenset[str]:
        """Settings that it says anew, so that what an older manifest says of them is over."""
        return frozenset({*self.settings, *({"KLEIDI_SLOT"} if self.name else ())})


AS_IT_WAS = Slot()
