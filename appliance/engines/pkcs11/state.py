"""What the seal keeps for this engine: which objects of which token are ours. Never a PIN, and no key."""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Final, Self

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import EngineState

_FILE: Final = "pkcs11.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class Held:
    """Object ids in hex. *condemned* are those of destroyed keys, which the device may still hold.

    *mark* is in the label of every object that was made for this cluster, since a token may serve several.
    """

    mark: str = ""
    serial: str = ""
    label: str = ""
    keys: tuple[str, ...] = ()
    condemned: tuple[str, ...] = ()

    @classmethod
    def read(cls, state: EngineState) -> Self:
        """Raises E-SEAL-CORRUPT and E-SEAL-NEWER."""
        if _FILE not in state.files:
            return cls()
        try:
            found = json.loads(state.files[_FILE])
            if found["version"] > _VERSION:
                raise KleidiError(faults.SEAL_NEWER, f"PKCS#11 state of version {found['version']}")
            mark, serial, label = (str(found[name]) for name in ("mark", "serial", "label"))
            keys, condemned = (tuple(map(str, found[name])) for name in ("keys", "condemned"))
        except (ValueError, TypeError, LookupError) as error:
            raise KleidiError(faults.SEAL_CORRUPT, f"PKCS#11 state: {error}") from None
        return cls(mark, serial, label, keys, condemned)

    def written(self) -> EngineState:
        return EngineState({_FILE: json.dumps({"version": _VERSION, **asdict(self)}).encode()})

    def marked(self) -> Self:
        return self if self.mark else replace(self, mark=secrets.token_hex(6))

    @property
    def object_label(self) -> str:
        return f"kleidi {self.mark}"

    def with_key(self, object_id: str, serial: str, label: str) -> Self:
        return replace(self, serial=serial, label=label, keys=(*self.keys, object_id))

    def condemn(self, object_id: str) -> Self:
        kept = tuple(each for each in self.keys if each != object_id)
        return replace(self, keys=kept, condemned=(*self.condemned, object_id))
