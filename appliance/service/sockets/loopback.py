"""KLEIDI_HTTP: the health socket's answers on a TCP port of this machine, for who can ask no other."""

import asyncio
import os

from appliance import faults
from appliance.endpoint import loopback
from appliance.faults import KleidiError
from appliance.service.sockets import limits
from appliance.service.sockets.http import Attendant, Routes


class Loopback:
    """Every user of this machine can ask there, so what is *frank* is not told, and Host is looked at."""

    def __init__(self, address: str, routes: Routes) -> None:
        self._address = address
        self._host, self._port = loopback(address)
        self._attendant = Attendant(routes, exposed=True)
        self._server: asyncio.Server | None = None

    def __str__(self) -> str:
        return self._address

    async def open(self) -> None:
        """Raises E-HTTP-ADDRESS where it cannot be bound; then try again."""
        attend = self._attendant.attend
        try:
            self._server = await asyncio.start_server(attend, self._host, self._port, limit=limits.HEAD)
        except OSError as error:
            raise KleidiError(faults.HTTP_ADDRESS, f"{os.strerror(error.errno or 0)}: {self}") from error

    async def keep(self, seconds: float, grace: float) -> str:  # noqa: ARG002  as a Listener does
        """A port is not taken away from who has it."""
        await asyncio.sleep(seconds)
        return ""

    async def close(self, grace: float) -> None:  # noqa: ARG002  an answer takes no time worth waiting for
        if self._server is not None:
            self._server.close()
