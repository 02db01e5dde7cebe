"""The trial: every key that a seal names gives back what it closed at its birth."""

from collections.abc import Mapping
from pathlib import Path

from appliance.keys.engine import EngineState
from appliance.keys.engines import Engines
from appliance.keys.keyset import KeySet, KeyState


def prove(engines: Engines, scratch: Path, states: Mapping[str, EngineState], keyset: KeySet) -> None:
    """Let each engine of *states* try its keys; raise E-TRIAL-FAILED, or why it cannot.

    What lies in a seal must work whatever its key's state; what lies elsewhere may have been switched off
    there with the key.
    """
    for name, state in states.items():
        engine = engines[name]
        tried = [key for key in keyset.keys if key.engine == name and key.state is not KeyState.DESTROYED]
        if engine.remote:
            tried = [key for key in tried if key.state.decrypts]
        place = scratch / name
        place.mkdir(mode=0o700)
        engine.prove(place, state, {key.object_id: key.known_answer for key in tried})
