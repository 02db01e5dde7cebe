"""Building what the next generation is to hold: in memory, away from what is open."""

from dataclasses import dataclass
from pathlib import Path

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import (
    SOFTHSM,
    Adoption,
    Adopts,
    AwayError,
    EngineState,
    Finds,
    Made,
    OffError,
    TakesOver,
)
from appliance.keys.engines import Engines
from appliance.keys.found import FoundToken
from appliance.volume import memory
from appliance.volume.opening import Storage
from appliance.volume.payload import Payload


@dataclass(frozen=True)
class Workshop:
    """Needs the volume's lock, held by whoever calls.

    Raises E-TRIAL-FAILED when an engine does not take it, E-MODULE-..., E-MEMORY-..., and what else an engine
    has to say.
    """

    storage: Storage
    engines: Engines
    memory_dir: Path

    def make(self, engine: str, payload: Payload, object_id: str) -> Made:
        """A new key of that *engine*, beside those of *payload*."""
        with memory.room(self.memory_dir) as scratch:
            return self.engines[engine].make(scratch, payload.state(engine), object_id)

    def take_over(self, engine: str, payload: Payload, name: str) -> Made:
        """Another plugin's key of that *name* in that *engine*."""
        asked = self.engines[engine]
        if not isinstance(asked, TakesOver):
            raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"engine {engine} takes over no key by its name")
        return asked.take_over(payload.state(engine), name)

    def find(self, engine: str, payload: Payload, fingerprint: str) -> Made | None:
        """The key of that *fingerprint*, which another node took up; None when that *engine* has none."""
        shared = self.engines[engine]
        try:
            return shared.find(payload.state(engine), fingerprint) if isinstance(shared, Finds) else None
        except (AwayError, OffError) as error:
            raise KleidiError(*error.reason) from error

    def destroy(self, engine: str, payload: Payload, object_id: str) -> EngineState:
        """What that *engine* keeps without the key."""
        with memory.room(self.memory_dir) as scratch:
            return self.engines[engine].destroy(scratch, payload.state(engine), object_id)

    def adopt(self, payload: Payload, found: FoundToken) -> Adoption:
        """Raises E-TOKEN-NOT-ADOPTED, E-KEY-ADOPTED-ALREADY."""
        engine = self.engines[SOFTHSM]
        if not isinstance(engine, Adopts):
            raise KleidiError(faults.TOKEN_NOT_ADOPTED, f"engine {SOFTHSM} takes over no token")
        with memory.room(self.memory_dir) as scratch:
            return engine.adopt(scratch, payload.state(SOFTHSM), found)
