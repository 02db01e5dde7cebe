"""Requests that never arrive in full: bounded in number, and in nobody's way."""

import asyncio

import grpc

from appliance import faults
from appliance.service import limits
from appliance.service.transports import NGHTTP2
from tests.service.client import Client, refused
from tests.service.hostile import hostile
from tests.service.running import Running

_FEW = 64
# More than a call may send before it is looked at (docs/limits.md).
_SIZE = 20_000


def test_of_too_many_half_sent_requests_the_oldest_make_room(
    unharmed: Client, shared: Running, transport: str
) -> None:
    async def attack() -> None:
        async with hostile(shared.scene.socket) as old, hostile(shared.scene.socket) as new:
            old.call(_FEW, _SIZE)
            await (old.seen() if transport == NGHTTP2 else old.asked())
            new.call(limits.ARRIVING, _SIZE)
            await old.until_refused(_FEW)
            assert set(old.refusals) == {faults.REQUEST_UNFINISHED.id}
            assert new.refused == 0
            # A good request takes the place of one more, and is answered at once.
            status = await asyncio.to_thread(unharmed.status)
            assert status.healthz == "ok"

    asyncio.run(attack())


def test_a_call_without_a_message_is_invalid(unharmed: Client) -> None:
    call = unharmed.channel.stream_unary(
        "/v2.KeyManagementService/Encrypt", lambda data: data, lambda data: data
    )
    answer = refused(lambda: call(iter(())))
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.text == str(faults.REQUEST_INVALID)
