"""What an operator chose: which module, which token, where its PIN is, how much at a time."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Pkcs11Options:
    """At least one of *serial* and *label* is not empty; *parameters* are the module's own, mostly none.

    *lanes* calls go into the module at a time, and none waits longer than *call_seconds* to get in.
    """

    module: Path
    serial: str
    label: str
    pin_file: Path | None
    parameters: str = field(repr=False)
    lanes: int
    call_seconds: float

    @classmethod
    def of(cls, settings: object) -> Self | None:
        """From `pkcs11_module` and so on, the token as `pkcs11_names`; None where no module is set.

        From `call_seconds` a call's time, and less: its own reason comes before the server's deadline.
        """
        names = ("module", "names", "pin_file", "parameters", "lanes")
        module, token, pin_file, parameters, lanes = [getattr(settings, f"pkcs11_{name}") for name in names]
        serial, label = token
        if module is None:
            return None
        within = min(2.0, 0.8 * getattr(settings, "call_seconds"))  # noqa: B009  as those above
        return cls(module, serial, label, pin_file, parameters or "", lanes, within)
