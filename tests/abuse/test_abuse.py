"""A short sample of `make abuse`: every attack in small on one transport, and some on the other."""

from collections.abc import Iterator

import pytest

from appliance.service.transports import GRPCIO, NGHTTP2
from tests.abuse.arena import TITLE, Arena
from tests.abuse.attacks import ATTACKS

# A tenth of what `make abuse` does.
_TIMES = 1000
_OF_GRPCIO = (
    "random bytes",
    "rapid reset",
    "PING, unread",
    "empty DATA",
    "gzip bombs",
    "trailers from the client",
)


@pytest.fixture(scope="module", params=[NGHTTP2, GRPCIO])
def transport(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def arena(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("pod"), transport) as arena:
        yield arena


def test_who_abuses_the_socket_harms_nobody_but_himself(arena: Arena, transport: str) -> None:
    names = ATTACKS if transport == NGHTTP2 else _OF_GRPCIO
    print(TITLE)
    for name in names:
        print(arena.bear(name, _TIMES), flush=True)
