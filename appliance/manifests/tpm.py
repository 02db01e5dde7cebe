"""The node's TPM, as far as a manifest is about it."""

from dataclasses import dataclass, field

# The kernel's own resource manager: who opens it has the chip for itself, and leaves nothing in it.
DEVICE = "/dev/tpmrm0"


@dataclass(frozen=True)
class Tpm:
    """*relay* is the program that hands it to a pod; *group* the device's, by its number, where it is known.

    Raises ValueError for a group that no container can have.
    """

    relay: str = field(repr=False)
    group: int | None = None

    def __post_init__(self) -> None:
        if self.group is not None and not 0 <= self.group < 2**31:
            raise ValueError(f"{self.group} is no group of a device")
