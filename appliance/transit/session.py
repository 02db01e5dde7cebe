"""The token in use: who has one keeps it until a newer one is there, and nobody logs in twice at a time.

A token is never renewed. A new login, ahead of its end and whenever it is refused, needs no right of its own,
knows no longest life, and is what must work anyway when a token dies.
"""

import random
import threading
import time
from contextlib import suppress
from pathlib import Path

from appliance import faults
from appliance.keys.engine import AwayError
from appliance.transit.access import Access
from appliance.transit.client import Client
from appliance.transit.login import RefusedError, Token, log_in

_PART_OF_LEASE = 2 / 3
_SPREAD = 0.1
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 5.0, 60.0


class Session:
    """For any number of threads. The token lives here and nowhere else."""

    def __init__(self, access: Access, client: Client, seconds: float) -> None:
        """*seconds* is how long a login in the background may take."""
        self._access = access
        self._client = client
        self._seconds = seconds
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._began = 0.0
        self._renew_at = float("inf")
        self._file_seen: tuple[int, int] | None = None
        self._refusal: AwayError | None = None
        self._wait = 0.0
        self._not_before = 0.0
        self._fruitless_until = 0.0
        self._renewing = threading.Lock()

    def token(self, until: float) -> str:
        """The one in use, or the first. Raises AwayError."""
        token = self._token
        if token is None:
            return self._anew(None, until).value
        if self._file_changed():
            with suppress(AwayError):  # half written, or away for a moment: the old one is still good
                return self._anew(token, until).value
        if time.monotonic() >= self._renew_at and self._renewing.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(token,), name="transit-login", daemon=True).start()
        return token.value

    def instead_of(self, refused: str, until: float) -> str | None:
        """Another token than the *refused* one; None where a new login would not help. Raises AwayError."""
        token = self._token
        if token is not None and token.value != refused:
            return token.value
        if time.monotonic() < self._fruitless_until:
            return None
        fresh = self._anew(token, until).value
        return None if fresh == refused else fresh

    def fruitless(self) -> None:
        """A new token is refused as well: it is not the token, and the next one would not help either."""
        self._fruitless_until = time.monotonic() + _FIRST_WAIT_SECONDS

    @property
    def age(self) -> float:
        """Seconds since the last login."""
        return time.monotonic() - self._began

    def _anew(self, old: Token | None, until: float) -> Token:
        """A login in place of *old*, unless another thread made one meanwhile."""
        if not self._lock.acquire(timeout=max(0, until - time.monotonic())):
            raise AwayError(faults.TRANSIT_AWAY, "another login is under way")
        try:
            if self._token is not None and self._token is not old:
                return self._token
            return self._log_in(until)
        finally:
            self._lock.release()

    def _log_in(self, until: float) -> Token:
        if self._refusal is not None and time.monotonic() < self._not_before:
            raise AwayError(self._refusal.fault, self._refusal.detail)
        seen = self._file_stamp()
        try:
            token = log_in(self._access, self._client, until)
        except RefusedError as error:
            self._wait = min(max(self._wait * 2, _FIRST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
            self._not_before = time.monotonic() + self._wait
            self._refusal = error.error
            raise error.error from None
        self._refusal, self._wait = None, 0.0
        self._began = time.monotonic()
        part = _PART_OF_LEASE * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  no secret
        self._renew_at = self._began + token.lease * part if token.lease else float("inf")
        self._token, self._file_seen = token, seen
        return token

    def _renew(self, old: Token) -> None:
        """In the background: the old token is used until this has worked."""
        try:
            self._anew(old, time.monotonic() + self._seconds)
        except AwayError:
            # Told by the call that meets the dead token, if it comes to that; meanwhile not at every call.
            self._renew_at = time.monotonic() + _FIRST_WAIT_SECONDS
        finally:
            self._renewing.release()

    def _file_changed(self) -> bool:
        return self._access.auth == "token" and self._file_stamp() != self._file_seen

    def _file_stamp(self) -> tuple[int, int] | None:
        path: Path | None = self._access.token_file
        if self._access.auth != "token" or path is None:
            return None
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
