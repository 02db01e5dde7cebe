from importlib.util import find_spec
from pathlib import Path

import pytest

from appliance.service.limits import BY_HAND, MESSAGE
from appliance.service.transports.grpcio import limits


def test_the_library_knows_every_argument_that_we_give_it() -> None:
    """It passes over in silence what it does not know."""
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    assert spec.origin is not None
    core = Path(spec.origin).read_bytes()
    names = [limit.name for limit in (*limits.table(), *limits.LEFT)]
    assert [name for name in names if f"\0{name}\0".encode() not in core] == []
    assert len(names) == len(set(names))


@pytest.mark.parametrize("message", [MESSAGE, BY_HAND])
def test_the_server_is_given_what_the_table_says(message: int) -> None:
    assert dict(limits.options(message)) == {limit.name: limit.value for limit in limits.table(message)}
    assert dict(limits.options(message))["grpc.max_receive_message_length"] == message


def test_what_may_wait_unseen_is_far_below_the_pods_memory() -> None:
    given = dict(limits.options())
    each = 16 * 1024 + given["grpc.http2.lookahead_bytes"] + given["grpc.max_metadata_size"]
    assert given["grpc.server.max_pending_requests_hard_limit"] * each < 96 * 1024 * 1024
