"""At a socket for operators: asks the kernel who connects, and lets in only its own."""

import logging
import socket
from pathlib import Path

from appliance.logs import event
from appliance.peer import peer
from appliance.private import unwritable
from appliance.telemetry.sparing import Sparing
from appliance.volume.mounts import is_mount_point

_TURNED_AWAY = "turned away from the admin socket"


def demand_own(directory: Path) -> None:
    """Raise SharedError where somebody else could put a socket in the place of ours: operators send PINs."""
    # What is mounted for us alone may be open to all, as an emptyDir is.
    if not is_mount_point(directory):
        unwritable(directory)


class Doorman:
    def __init__(self) -> None:
        self._sparing = Sparing()

    def admitted(self, door: socket.socket) -> str | None:
        """Who is at the other end, as `uid:pid`; None for somebody who must not come in."""
        try:
            caller = peer(door)
        except OSError:
            return None
        if caller.admitted:
            return str(caller)
        if self._sparing.lets(logging.WARNING, _TURNED_AWAY):
            event(logging.WARNING, _TURNED_AWAY, uid=caller.uid, pid=caller.pid)
        return None
