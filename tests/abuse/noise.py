"""Bytes of chance: none of HTTP/2 at all, and good frames with some of them damaged."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.abuse.attack import Attack
from tests.abuse.peer import HELLO, peer, said
from tests.http2 import ENCRYPT, PING, PREFACE, SETTINGS, STATUS, call, frame, reset, window

_GOOD = b"".join(
    [
        SETTINGS,
        window(0, 1000),
        *(call(stream, STATUS) for stream in range(1, 40, 2)),
        frame(PING, 0, 0, bytes(8)),
    ]
    + [call(stream, ENCRYPT, b"\x0a\x04seed") + reset(stream) for stream in range(41, 60, 2)]
)


def noise(make: Callable[[random.Random], bytes]) -> Attack:
    async def attack(path: Path, times: int) -> str:
        dice = random.Random(12)  # noqa: S311  the same noise each time
        ends: Counter[str] = Counter()
        for _ in range(max(times // 20, 20)):
            async with peer(path) as one:
                await one.send(make(dice))
                ends[one.how] += 1
        return said(ends)

    return attack


def _damaged(dice: random.Random) -> bytes:
    data = bytearray(_GOOD)
    for _ in range(dice.randint(1, 12)):
        at = dice.randrange(len(data))
        match dice.randrange(3):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randrange(40)]
            case _:
                data[at:at] = dice.randbytes(dice.randrange(40))
    return PREFACE + bytes(data)


NOISE: dict[str, Attack] = {
    "random bytes": noise(lambda dice: dice.randbytes(dice.randrange(1, 20_000))),
    "random bytes behind a greeting": noise(lambda dice: HELLO + dice.randbytes(dice.randrange(1, 20_000))),
    "damaged frames": noise(_damaged),
}
