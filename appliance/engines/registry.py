"""The one list of engines: each is imported when somebody asks for it, and made once."""

from pathlib import Path

from appliance.keys.engine import SOFTHSM, Engine
from appliance.keys.engines import Engines


def engines(settings: object, softhsm_module: Path | None, call_seconds: float) -> Engines:
    """Every engine that this version has, none made yet.

    Of the *settings* each reads those whose names begin with its own.
    """

    def softhsm() -> Engine:
        from appliance.engines.softhsm import SoftHsmEngine

        return SoftHsmEngine(softhsm_module)

    def transit() -> Engine:
        from appliance.engines.transit import TransitEngine
        from appliance.transit.access import Access

        return TransitEngine(Access.of(settings), _within(call_seconds))

    def pkcs11() -> Engine:
        from appliance.engines.pkcs11.engine import Pkcs11Engine
        from appliance.pkcs11.options import Pkcs11Options

        return Pkcs11Engine(Pkcs11Options.of(settings))

    return Engines({SOFTHSM: softhsm, "transit": transit, "pkcs11": pkcs11})


def _within(call_seconds: float) -> float:
    """How long an engine may take, so that its own reason comes before our deadline."""
    return min(2.0, 0.8 * call_seconds)
