"""A token at rest: SoftHSM's files, the PIN that opens them, and both in the words of the seal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import EngineState
from appliance.keys.found import FILE_NAME
from appliance.volume.known import NewerError, demand_known

_PINS, _TOKENS = "pins.json", "tokens/"


@dataclass(frozen=True)
class TokenImage:
    """The token's files by relative name, its serial, and its PIN.

    Beside it lie the tokens that were adopted, each by its serial with the PIN it came with.
    """

    serial: str
    files: Mapping[str, bytes] = field(repr=False)
    user_pin: str = field(repr=False)
    adopted_pins: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def pins(self) -> dict[str, str]:
        """Of every token, by its serial, ours first."""
        return {self.serial: self.user_pin, **self.adopted_pins}

    def to_state(self) -> EngineState:
        """`tokens/…` as SoftHSM names them, and one file with what opens them."""
        pins = json.dumps(self._pins(), indent=1, sort_keys=True).encode()
        return EngineState({_PINS: pins, **{_TOKENS + name: self.files[name] for name in self.files}})

    @classmethod
    def from_state(cls, state: EngineState, fault: Fault = faults.TRIAL_FAILED) -> "TokenImage":
        """Raise E-SEAL-NEWER when a later version wrote *state*, *fault* when none did."""
        files = dict(state.files)
        try:
            pins = json.loads(files.pop(_PINS))
            if not all(name.startswith(_TOKENS) for name in files):
                raise ValueError("a file that is not of a token")
            found = {name.removeprefix(_TOKENS): data for name, data in files.items()}
            if not all(FILE_NAME.fullmatch(name) for name in found):
                raise ValueError("a file name that SoftHSM does not use")
            image = cls(str(pins["serial"]), found, str(pins["user_pin"]), dict(pins["adopted"]))
            demand_known(pins, image._pins())
        except NewerError as error:
            raise KleidiError(faults.SEAL_NEWER, f"the token: {error}") from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise KleidiError(fault, f"the token: {error}") from error
        return image

    def _pins(self) -> dict[str, Any]:
        return {"serial": self.serial, "user_pin": self.user_pin, "adopted": dict(self.adopted_pins)}
