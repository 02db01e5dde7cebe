"""Keeping the ledger: saved every minute and at the end."""

import asyncio
import logging

from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.volume.generations import Volume
from appliance.volume.ledger import Ledger

_SAVE_SECONDS = 60.0


async def keep_ledger(keeper: Keeper, ledger: Ledger, volume: Volume) -> None:
    """Only while the token is open is the volume's lock held, and only then is the ledger written."""
    try:
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            if keeper.standing().serves:
                # The disk may keep one waiting, and no call may wait for it.
                await asyncio.to_thread(_write, ledger, ledger.to_json(), volume)
    finally:
        if keeper.standing().serves:
            _write(ledger, ledger.to_json(), volume)


def _write(ledger: Ledger, content: bytes, volume: Volume) -> None:
    if volume.why_changed():
        return  # what is at its path now is not ours to write on; the watch tells of it
    try:
        ledger.write(content)
    except OSError as error:
        event(logging.WARNING, "the ledger could not be saved", detail=error.strerror)
