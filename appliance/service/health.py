"""/livez and /readyz for probes.

/livez answers as long as the event loop does and never asks the token: a restart mends no token, and a
sealed appliance restarted in a loop would only be harder to mend. /readyz is 200 when Status would say "ok".
"""

from collections.abc import Callable
from http import HTTPStatus

from appliance.service.sockets.http import Answer, Routes
from appliance.service.standing import Standing


def routes(standing: Callable[[], Standing]) -> Routes:
    """What the health socket answers, by how things are *standing* at the moment."""
    return {"/livez": lambda: Answer("ok"), "/readyz": lambda: _ready(standing())}


def _ready(standing: Standing) -> Answer:
    if standing.reason is None:
        return Answer("ok")
    # Without the detail: the kubelet copies these words into Events, which users may read.
    return Answer(f"{standing.state} {standing.reason}", HTTPStatus.SERVICE_UNAVAILABLE)
