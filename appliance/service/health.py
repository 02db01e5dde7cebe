"""/livez and /readyz for probes, /status.json for whoever watches.

/livez answers as long as the event loop does and never asks the token: a restart mends no token, and a
sealed appliance restarted in a loop would only be harder to mend. /readyz is 200 when there is no reason
to look; `?verbose` lists the reasons as the control plane's own do, and tells which of them hurt calls.
"""

from collections.abc import Callable
from http import HTTPStatus

from appliance.faults import Kind
from appliance.service.sockets.http import JSON, Answer, Routes
from appliance.service.standing import Standing


def routes(standing: Callable[[], Standing], status: Callable[[], str]) -> Routes:
    """What the health socket answers, by how things are *standing* at the moment.

    *status* is the same as `kleidi status --output json` prints it.
    """
    return {
        "/livez": lambda: Answer("ok"),
        "/readyz": lambda: _ready(standing()),
        "/readyz?verbose": lambda: _verbose(standing()),
        "/status.json": lambda: Answer(status(), form=JSON),
    }


def _ready(standing: Standing) -> Answer:
    if standing.reason is None:
        return Answer("ok")
    # Without the details: the kubelet copies these words into Events, which users may read.
    words = [standing.state, *(str(fault) for fault, _ in standing.reasons)]
    return Answer(" ".join(words), HTTPStatus.SERVICE_UNAVAILABLE)  # the probe shows one line


def _verbose(standing: Standing) -> Answer:
    lines = ["[+]serving ok"] if standing.serves else []
    for fault, _ in standing.reasons:
        warns = standing.serves and fault.kind is Kind.WARNING
        lines.append(f"[!]{fault.id} warned: {fault}" if warns else f"[-]{fault.id} failed: {fault}")
    if standing.reason is None:
        return Answer("\n".join([*lines, "readyz check passed"]))
    return Answer("\n".join([*lines, "readyz check failed"]), HTTPStatus.SERVICE_UNAVAILABLE)
