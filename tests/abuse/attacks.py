"""All attacks by name. One runs in a process of its own, so that it does not slow the good caller."""

import asyncio
from pathlib import Path

from appliance import hardening
from tests.abuse.attack import Attack
from tests.abuse.calls import CALLS
from tests.abuse.floods import FLOODS
from tests.abuse.noise import NOISE

ATTACKS: dict[str, Attack] = {**NOISE, **FLOODS, **CALLS}


def run(name: str, path: Path, times: int) -> str:
    hardening.allow_many_files()
    return asyncio.run(ATTACKS[name](path, times))
