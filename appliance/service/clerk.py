"""Keeping the ledger: taken up when the volume is ours, saved every minute and at the end."""

import asyncio
import logging

from appliance.logs import event
from appliance.service.keeper import Keeper
from appliance.volume.ledger import Ledger

_SAVE_SECONDS = 60.0
_LOOK_SECONDS = 0.2


async def keep_books(keeper: Keeper, ledger: Ledger) -> None:
    """Only while the token is open is the volume's lock held, and only then is the ledger written."""
    while not keeper.standing().serves:  # noqa: ASYNC110  the wait is for whatever brings the token
        await asyncio.sleep(_LOOK_SECONDS)
    ledger.load()
    try:
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            _save(keeper, ledger)
    finally:
        _save(keeper, ledger)


def _save(keeper: Keeper, ledger: Ledger) -> None:
    if keeper.standing().serves:
        try:
            ledger.save()
        except OSError as error:
            event(logging.WARNING, "the ledger could not be saved", reason=error.strerror)
