"""Looking up a host's addresses without waiting for longer than there is time.

getaddrinfo(3) cannot be interrupted, so it runs in a thread of its own that nobody waits for to the end: one
at a time for each name. While it hangs, the addresses it gave last are used.
"""

import socket
import threading

# Half of an attempt: what is left must do for a connection.
_LONGEST_SECONDS = 0.5

Address = tuple[socket.AddressFamily, tuple[str | int, ...] | tuple[int, bytes]]


class _Lookup:
    """One that is under way or done; *found* is empty until then."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.found: list[Address] = []
        self.error: OSError | None = None
        threading.Thread(target=self._run, args=(host, port), name="transit-name", daemon=True).start()

    def _run(self, host: str, port: int) -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.found = [(family, address) for family, _, _, _, address in rows]
        except OSError as error:
            self.error = error
        except UnicodeError:
            self.error = OSError("not a host name")
        self.done.set()


class Names:
    """The addresses of one host and port."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        self._numeric = _numeric(host, port)
        self._lock = threading.Lock()
        self._last: list[Address] = []
        self._lookup: _Lookup | None = None

    def addresses(self, seconds: float) -> list[Address]:
        """Waits *seconds* at most. Raises OSError, TimeoutError among them."""
        if self._numeric:
            return self._numeric
        with self._lock:
            lookup = self._lookup = self._lookup or _Lookup(*self._where)
        if not lookup.done.wait(min(seconds, _LONGEST_SECONDS)):
            if self._last:
                return self._last
            raise TimeoutError("the name is not resolved in time")
        with self._lock:
            if self._lookup is lookup:
                self._lookup = None  # the next connection asks anew
        if lookup.error is not None:
            raise lookup.error
        self._last = lookup.found
        return lookup.found


def _numeric(host: str, port: int) -> list[Address]:
    """Of an address that needs no lookup; empty for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, (host, port) if family is socket.AF_INET else (host, port, 0, 0))]
    return []
