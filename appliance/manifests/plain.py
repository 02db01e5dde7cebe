"""Values that every reader of a manifest takes for what they are."""

import re
from pathlib import PurePosixPath

# No character that YAML, systemd or compose would read as anything but itself.
_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9._/@:-]*[A-Za-z0-9]|[A-Za-z0-9]")


def check(value: str) -> None:
    """Raises ValueError for a value that no manifest could carry as it is."""
    if not _PLAIN.fullmatch(value):
        raise ValueError(f"{value!r} has a character that a manifest would read otherwise")


def check_path(value: str) -> None:
    """Raises ValueError for what is not one path, written in the one way."""
    check(value)
    path = PurePosixPath(value)
    if not path.is_absolute() or str(path) != value or ".." in path.parts or ":" in value:
        raise ValueError(f"{value!r} must be an absolute path in its shortest form, without ':'")


def overlap(one: str, other: str) -> bool:
    """Whether one of two paths is the other, or lies in it."""
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)
