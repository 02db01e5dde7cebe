"""Who runs SoftHSM alone pays for no other engine: nothing of one is imported."""

from tests.unit import imports

_PROGRAM = """
import sys
from appliance import assembly
from appliance.settings import load
engines = assembly.engines(load())
{use}
print(" ".join(sorted(sys.modules)))
"""


def imported(use: str) -> set[str]:
    return imports.imported(_PROGRAM.format(use=use))


def test_an_engine_is_imported_when_it_is_asked_for() -> None:
    alone = imported('engines["softhsm"]')
    others = {
        "appliance.engines.transit",
        "appliance.transit.client",
        "appliance.engines.pkcs11",
        "appliance.pkcs11",
        "http.client",
        "softhsm.pkcs11.binding",
    }
    assert not alone & others
    assert "appliance.engines.transit" in imported('engines["transit"]')
    assert "appliance.engines.pkcs11" in imported('engines["pkcs11"]')
