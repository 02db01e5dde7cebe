"""What goes wrong, as a value."""

from collections.abc import Callable

from appliance.tpm.errors import TpmError, Trouble


def told(act: Callable[..., object], *given: object) -> Trouble | None:
    """The trouble that *act* of *given* ends with, or None."""
    try:
        act(*given)
    except TpmError as error:
        return error.trouble
    return None
