"""The one list of engines: each is imported when somebody asks for it."""

from pathlib import Path

from appliance.keys.engine import SOFTHSM, Engine
from appliance.keys.engines import Engines


def engines(softhsm_module: Path | None = None) -> Engines:
    """Every engine that this version has, none made yet."""

    def softhsm() -> Engine:
        from appliance.engines.softhsm import SoftHsmEngine

        return SoftHsmEngine(softhsm_module)

    return Engines({SOFTHSM: softhsm})
