"""What can be asked by HTTP: one table, answered on the health socket and, where it is set, at KLEIDI_HTTP.

/livez answers as long as the event loop does and never asks the token: a restart mends no token, and a
sealed appliance restarted in a loop would only be harder to mend. /readyz fails by what concerns calls, and
/healthz is the same. /standing, which the pod's readiness probe asks, is one line, and fails by whatever
somebody should look at: the kubelet makes an Event of it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.backup.verified import Coverage
from appliance.service import checks
from appliance.service.checklist import Checklist, alive
from appliance.service.checks import Check
from appliance.service.sockets.binding import Listens
from appliance.service.sockets.http import JSON, UNAVAILABLE, Answer, Route, Routes, speaks_http
from appliance.service.sockets.listener import Listener
from appliance.service.sockets.loopback import Loopback
from appliance.service.standing import Standing


@dataclass(frozen=True)
class Health:
    """By how things are *standing* at the moment, how long ago that was *proved*, and what is backed up.

    *status* is the same as `kleidi status --output json` prints it, *metrics* what a scrape gets.
    """

    standing: Callable[[], Standing]
    proved_ago: Callable[[], float | None]
    covered: Callable[[], Coverage | None]
    status: Callable[[], str]
    metrics: Callable[[], Awaitable[Answer]]

    def routes(self) -> Routes:
        return {
            **Checklist("livez", ("ping",), alive).routes(),
            **Checklist("readyz", checks.NAMES, self._of_calls, self._of_files).routes(),
            **Checklist("healthz", checks.NAMES, self._of_calls, self._of_files).routes(),
            "/standing": Route(lambda _: _line(self.standing())),
            "/status.json": Route(lambda _: Answer(self.status(), form=JSON), frank=True),
            "/metrics": Route(lambda _: self.metrics()),
        }

    def _of_calls(self) -> list[Check]:
        return checks.checks(self.standing(), self.proved_ago())

    def _of_files(self) -> list[Check]:
        return [checks.backup(self.standing(), self.covered())]


def listeners(routes: Routes, path: Path, address: str) -> list[Listens]:
    """The one table on the Unix socket at *path*, and at the TCP *address* if there is one."""
    own = Listener(path, 0o600, None, speaks_http(routes))
    return [own, Loopback(address, routes)] if address else [own]


def _line(standing: Standing) -> Answer:
    if standing.reason is None:
        return Answer("ok")
    # Without the details: the kubelet copies these words into Events, which users may read.
    words = [standing.state, *(str(fault) for fault, _ in standing.reasons)]
    return Answer(" ".join(words), UNAVAILABLE)  # the probe shows one line
