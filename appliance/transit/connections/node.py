"""One Transit server: its address, and the connections to it that wait for their next call."""

import ssl
import threading
import time
from urllib.parse import urlsplit

from appliance.transit.connections.names import Names
from appliance.transit.connections.wire import Connection

PORT = 8200
# Balancers and firewalls forget a connection in silence, often after some minutes.
_LONGEST_IDLE_SECONDS = 60


class Node:
    """Each lane takes a connection for one call; so there are never more of them than lanes."""

    def __init__(self, address: str, server_name: str | None) -> None:
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or PORT
        self.name = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        self._server_name = server_name or self.host
        self._names = Names(self.host, self.port)
        self._lock = threading.Lock()
        self._kept: list[Connection] = []
        self._emptied = 0

    def open(self, context: ssl.SSLContext, until: float) -> Connection:
        return Connection.open(self.host, self.port, self._names, context, self._server_name, until)

    def take(self) -> tuple[Connection | None, int]:
        """The connection used last, if one can be used again; and what `keep` wants to know with it."""
        with self._lock:
            while self._kept:
                connection = self._kept.pop()
                if connection.idle and time.monotonic() - connection.used < _LONGEST_IDLE_SECONDS:
                    return connection, self._emptied
                connection.close()
            return None, self._emptied

    def keep(self, connection: Connection, emptied: int) -> None:
        """For the next call, unless all were given up since it was taken."""
        with self._lock:
            if emptied == self._emptied:
                self._kept.append(connection)
            else:
                connection.close()

    def empty(self) -> None:
        """Give up all connections: the node went away, or nobody will call any more."""
        with self._lock:
            kept, self._kept = self._kept, []
            self._emptied += 1
        for connection in kept:
            connection.close()
