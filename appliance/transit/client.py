"""One call to whichever node answers it: the next node at once, the same ones again, until the time is up."""

import http.client
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from appliance import __version__
from appliance.transit.access import Access
from appliance.transit.answers import AGAIN, ELSEWHERE, CallError, Outcome, judged, parsed, quoted
from appliance.transit.connections.node import Node
from appliance.transit.connections.trust import Trust, TrustError, words
from appliance.transit.connections.wire import Connection, LargeError

ATTEMPT_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.05
# While another node cannot answer: an election is over by then, or it is longer than a call.
_DOUBT_SECONDS = 0.5
# What an idle connection says that the server has closed meanwhile; RemoteDisconnected is a reset, too.
_STALE = BrokenPipeError, ConnectionResetError, ssl.SSLEOFError
# Of several nodes' reasons the one that is told first.
_WORST = Outcome.SEALED, Outcome.BUSY, Outcome.TLS, Outcome.SHAPE, Outcome.AWAY

Answer = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """*path* is below /v1/. *secrets* are those in *fields*; *context* is for a certificate of our own."""

    method: str
    path: str
    fields: Mapping[str, object] | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    context: ssl.SSLContext | None = None


class Client:
    """For any number of threads."""

    def __init__(self, access: Access) -> None:
        self.nodes = [Node(address, access.server_name) for address in access.addresses]
        self.trust = Trust(access.ca_file)
        self._namespace = access.namespace
        self._lock = threading.Lock()
        self._preferred = 0

    def call(self, request: Request, read: Callable[[Answer], T], until: float) -> T:
        """What *read* makes of the answer; it raises CallError of SHAPE for one that cannot be.

        Raises CallError not long after *until*, by the monotonic clock.
        """
        failures: dict[str, CallError] = {}
        pause, doubted_until = _FIRST_PAUSE_SECONDS, time.monotonic() + _DOUBT_SECONDS
        while True:
            refusals: list[CallError] = []
            for number in self._order():
                if time.monotonic() >= until:
                    break
                try:
                    answer = read(self.call_node(self.nodes[number], request, until))
                except CallError as error:
                    refusals += self._next(number, error, failures)
                else:
                    self._preferred = number
                    return answer
            if refusals and (
                len(refusals) == len(self.nodes) or time.monotonic() >= min(doubted_until, until)
            ):
                raise refusals[0]
            # A certificate takes somebody to mend it.
            if time.monotonic() >= until or {each.outcome for each in failures.values()} == {Outcome.TLS}:
                raise _worst(failures)
            rest = until - time.monotonic()
            time.sleep(max(0, min(rest, pause * random.uniform(0.75, 1.25))))  # noqa: S311  no secret
            pause *= 2

    def _next(self, number: int, error: CallError, failures: dict[str, CallError]) -> list[CallError]:
        """Note why the next node is asked; what stands if none says better. Raises what none would."""
        if error.outcome in ELSEWHERE:
            return [error]
        if error.outcome not in AGAIN:
            raise error
        twice = error.outcome is Outcome.SHAPE and any(
            each.outcome is Outcome.SHAPE for each in failures.values()
        )
        failures[self.nodes[number].name] = error
        self._avoid(number)
        if twice:
            raise _worst(failures)
        return []

    def call_node(self, node: Node, request: Request, until: float) -> Answer:
        """One attempt at one node. Raises CallError."""
        status, body = self.asked(node, request, until)
        outcome = judged(status, body)
        if outcome is Outcome.DONE:
            return body or {}
        said = quoted(body, (request.token, *request.secrets))
        raise CallError(outcome, f"status {status}, {said}" if said else f"status {status}")

    def asked(self, node: Node, request: Request, until: float) -> tuple[int, Answer | None]:
        """Status, and the JSON object that came with it. Raises CallError where nothing came."""
        attempt = min(until, time.monotonic() + ATTEMPT_SECONDS)
        try:
            status, data = self._attempt(node, request, attempt)
        except (TrustError, OSError, http.client.HTTPException, ValueError) as error:
            failure = _failure(error)
        else:
            return status, parsed(data)
        if failure.outcome is Outcome.AWAY:
            node.empty()
        # Raised out here, so that the error in whose text a stranger may quote our token is not its context.
        raise failure

    def close(self) -> None:
        """Give up all connections; a later call opens new ones."""
        for node in self.nodes:
            node.empty()

    def _attempt(self, node: Node, request: Request, until: float) -> tuple[int, bytes]:
        if request.context is not None:
            connection = node.open(request.context, until)
            try:
                return self._exchange(connection, request, until)
            finally:
                connection.close()
        kept, emptied = node.take()
        if kept is not None:
            try:
                return self._used(node, emptied, kept, request, until)
            except _STALE:
                pass
        return self._used(node, emptied, node.open(self.trust.context(), until), request, until)

    def _used(
        self, node: Node, emptied: int, connection: Connection, request: Request, until: float
    ) -> tuple[int, bytes]:
        try:
            found = self._exchange(connection, request, until)
        except BaseException:
            connection.close()
            raise
        node.keep(connection, emptied)
        return found

    def _exchange(self, connection: Connection, request: Request, until: float) -> tuple[int, bytes]:
        headers = {"User-Agent": f"kleidi/{__version__}", "X-Vault-Request": "true"}
        if request.token:
            headers["X-Vault-Token"] = request.token
        if self._namespace:
            headers["X-Vault-Namespace"] = self._namespace
        body = None if request.fields is None else json.dumps(request.fields).encode()
        return connection.exchange(request.method, f"/v1/{request.path}", body, headers, until)

    def _order(self) -> Iterator[int]:
        """The node that answered last, then those behind it."""
        first = self._preferred
        for step in range(len(self.nodes)):
            yield (first + step) % len(self.nodes)

    def _avoid(self, number: int) -> None:
        """Let the other lanes begin with the next one."""
        with self._lock:
            if self._preferred == number:
                self._preferred = (number + 1) % len(self.nodes)


def _failure(error: Exception) -> CallError:
    """Of a node from which nothing came that could be judged."""
    if isinstance(error, TrustError):
        return CallError(Outcome.TLS, str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        return CallError(Outcome.TLS, words(error))
    if isinstance(error, http.client.IncompleteRead):
        return CallError(Outcome.AWAY, "the answer broke off")
    if isinstance(error, OSError):
        return CallError(Outcome.AWAY, words(error))
    return CallError(Outcome.SHAPE, "too large" if isinstance(error, LargeError) else "it is not HTTP")


def _worst(failures: Mapping[str, CallError]) -> CallError:
    outcomes = {each.outcome for each in failures.values()}
    outcome = next((each for each in _WORST if each in outcomes), Outcome.AWAY)
    told = "; ".join(f"{name}: {error.said or error.outcome.value}" for name, error in failures.items())
    return CallError(outcome, told or "no time was left")
