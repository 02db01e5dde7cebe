"""What an appliance is told to keep its keys in each engine, with the real thing behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.pkcs11 import places
from tests.transit.node import admitted
from tests.transit.openbao import three

# By name; a module that says EVERY_ENGINE = True has all of its tests on each.
ENGINES = ["softhsm", "transit", "three transit servers", "pkcs11"]


@contextmanager
def told(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Its settings, by lower-case names."""
    directory = tmp_path_factory.mktemp("engine")
    match engine:
        case "transit":
            yield {"engine": "transit", **admitted(request.getfixturevalue("bao"), directory / "login")}
        case "three transit servers":
            with three(directory / "bao", request.getfixturevalue("authority")) as cluster:
                leader = cluster.leader()
                addresses = [node.address for node in cluster.nodes]
                yield {"engine": "transit", **admitted(leader, directory / "login", addresses)}
        case "pkcs11":
            with places.softhsm(directory) as place:
                yield _device(place)
        case "nss":
            # Beside SoftHSM embedded: of that there is one configuration in a process.
            yield _device(places.nss(directory))
        case _:
            yield {}


def _device(place: places.Place) -> dict[str, str]:
    options = place.options
    assert options is not None
    return {
        "engine": "pkcs11",
        "pkcs11_module": str(options.module),
        "pkcs11_token": f"label={options.label}",
        "pkcs11_pin_file": str(options.pin_file),
        **({"pkcs11_parameters": options.parameters} if options.parameters else {}),
    }
