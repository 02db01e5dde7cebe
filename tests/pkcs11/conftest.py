"""Every token that there is: the fixture changes, no test does."""

from collections.abc import Iterator

import pytest

from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import NoGcmError
from tests.pkcs11 import places
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Place

_REAL = ["softhsm", "nss", "p11-kit", *(["given"] if places.given() else [])]


@pytest.fixture(scope="module", params=[*_REAL, "fake", "fake-draws"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from _placed(request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=[*_REAL, "fake"])
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A token that opens what was closed by RSA; p11-kit's client of any age lets that through."""
    yield from _placed(request.param, tmp_path_factory, gcm=False)


@pytest.fixture(scope="module", params=_REAL)
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A module that is a file."""
    yield from _placed(request.param, tmp_path_factory)


def hides_gcm(place: Place) -> bool:
    device = place.device()
    try:
        Cipher(device).demand()
    except NoGcmError:
        return True
    finally:
        device.close()
    return False


def _placed(name: str, tmp_path_factory: pytest.TempPathFactory, *, gcm: bool = True) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp(name)
    match name:
        case "softhsm":
            with places.softhsm(directory) as place:
                yield place
        case "nss":
            yield places.nss(directory)
        case "p11-kit":
            with places.served(directory) as (place, _):
                if gcm and hides_gcm(place):
                    pytest.skip("p11-kit is older than 0.25 here, and hides AES-GCM from its client")
                yield place
        case "given":
            found = places.given()
            assert found is not None
            yield found
        case _:
            yield Place(name, None, FakeToken(draws=name == "fake-draws"))


@pytest.fixture
def device(place: Place) -> Iterator[Device]:
    opened = place.device()
    yield opened
    opened.close()
