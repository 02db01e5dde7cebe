"""All that the event loop knows at one moment, as a value: what is made of it needs the loop no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.service.rpc.calls import Service
from appliance.service.standing import EngineStanding, Standing
from appliance.telemetry import Counts


@dataclass(frozen=True)
class Moment:
    """*now* is in Unix seconds; *unusable* keys should decrypt and do not. *counts* may go on."""

    now: float
    standing: Standing
    counts: Counts
    services: Sequence[Service] = ()
    engines: Sequence[EngineStanding] = ()
    waiting: int = 0
    unusable: frozenset[str] = frozenset()
    invited: bool = False
