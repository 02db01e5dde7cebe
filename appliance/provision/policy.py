"""What an operator allows a node, apart from what is done with it: the settings need no more than that."""

from enum import StrEnum


class Policy(StrEnum):
    """KLEIDI_PROVISION: whether this node may ever make a key of its own."""

    AUTO = "auto"
    NEVER = "never"
    JOIN = "join"
