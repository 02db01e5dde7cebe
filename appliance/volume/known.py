"""What a document holds beyond what this version knows: refused, for the next write would drop it. Pure."""

from typing import Any


class NewerError(ValueError):
    """A version that knows more wrote it."""


def demand_known(found: Any, understood: Any, where: str = "") -> None:  # noqa: ANN401  any JSON
    """Raise NewerError unless every field of *found* is in *understood*, which was made of it."""
    if isinstance(found, dict) and isinstance(understood, dict):
        for name, value in found.items():
            if name not in understood:
                raise NewerError(f"this version does not know the field {where}{name!r}")
            demand_known(value, understood[name], f"{where}{name}.")
    elif isinstance(found, list) and isinstance(understood, list):
        for each, own in zip(found, understood, strict=False):
            demand_known(each, own, where)
