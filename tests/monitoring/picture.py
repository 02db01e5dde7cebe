"""`make dashboard`: docs/dashboard.svg, the panels of the dashboard drawn from what a Prometheus recorded.

Two minutes of a node's life: an API server at work, a rotation, a seal key that is away for a while, a server
that is killed. What nothing was told of in that time is left out.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from appliance.manifests.monitoring import dashboard
from appliance.manifests.monitoring.panel import Form, Panel, Query
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.monitoring.prometheus import WINDOW, Prometheus, scraping
from tests.rig import CHECKOUT, Appliance
from tests.service.client import Client, connected

PICTURE = CHECKOUT / "docs" / "dashboard.svg"
SECONDS = 120
COLUMNS = 3
_NAMED = 6  # more would hide what they name


def main() -> None:
    rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kleidi", "font.size": 7})
    with tempfile.TemporaryDirectory() as scratch, _cast(Path(scratch)) as (appliance, prometheus, client):
        began = time.time()
        _live(appliance, client, Path(scratch))
        figure = _drawn(prometheus, began, time.time())
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"written: {PICTURE.relative_to(CHECKOUT)}")


@contextmanager
def _cast(scratch: Path) -> Iterator[tuple[Appliance, Prometheus, Client]]:
    with ExitStack() as exits:
        etcd = Etcd(scratch / "etcd")
        (scratch / "etcd").mkdir()
        exits.callback(etcd.stop)
        etcd.start()
        (scratch / "node").mkdir()
        settings = {"slot": "file", "seal_key_file": str(scratch / "seal.key")}
        appliance = exits.enter_context(Appliance(scratch / "node", **settings))  # type: ignore[arg-type]
        appliance.start()
        appliance.wait_ready()
        (scratch / "stage").mkdir()
        stage = exits.enter_context(Stage(SecretServer.obtain(), etcd, scratch / "stage"))
        server = stage.apiserver(Kms("kleidi", appliance.socket))
        server.create_secret("shown", "value")
        prometheus = exits.enter_context(scraping(appliance, scratch, server.address))
        yield appliance, prometheus, exits.enter_context(connected(appliance.socket))


def _live(appliance: Appliance, client: Client, scratch: Path) -> None:
    began, key, away = time.monotonic(), scratch / "seal.key", scratch / "away"
    sealed = client.encrypt(b"seed")
    due: dict[int, Callable[[], object]] = {
        30: lambda: appliance.run("key", "rotate"),
        55: lambda: key.rename(away),
        80: lambda: away.rename(key),
        95: lambda: appliance.kill("kms"),
    }
    while (passed := time.monotonic() - began) < SECONDS:
        for at in [at for at in due if at <= passed]:
            due.pop(at)()
            appliance.wait_ready()
        for _ in range(int(5 + 5 * (passed % 20) / 20)):
            client.decrypt(sealed.key_id, sealed.ciphertext)
            client.encrypt(b"seed")
        time.sleep(0.2)


def _drawn(prometheus: Prometheus, start: float, end: float) -> Figure:
    panels = [
        panel
        for row in dashboard.ROWS
        for panel in row.panels
        if any(prometheus.over_time(_asked(query), start, end) for query in panel.queries)
    ]
    rows = -(-len(panels) // COLUMNS)
    figure = Figure((4.2 * COLUMNS, 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel, prometheus, start, end)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    return figure


def _panel(axes: Axes, panel: Panel, prometheus: Prometheus, start: float, end: float) -> None:
    axes.set_title(panel.title, loc="left", fontweight="bold")
    lines = 0
    for query in panel.queries:
        for series in prometheus.over_time(_asked(query), start, end):
            points = [(at - start, float(value)) for at, value in series["values"]]
            label = query.legend
            for name, value in series["metric"].items():
                # One node and one API server: their ports are nobody's business.
                told = {"kleidi": "node", "apiserver": "API server"}.get(series["metric"].get("job", ""), "")
                label = label.replace(f"{{{{{name}}}}}", told if name == "instance" else value)
            step = "steps-post" if panel.form is Form.STATES else "default"
            axes.plot(*zip(*points, strict=True), label=label[:40], linewidth=1, drawstyle=step)
            lines += 1
    axes.set(xlim=(0, end - start), xlabel="seconds")
    axes.margins(y=0.1)
    named = [(float(value), words) for value, words in panel.mapped if value.isdigit()]
    if named:
        axes.set_yticks([value for value, _ in named], [words for _, words in named])
    if lines <= _NAMED and all(query.legend for query in panel.queries):
        axes.legend(loc="best", fontsize=5)


def _asked(query: Query) -> str:
    return query.expression.replace("$__rate_interval", WINDOW)


if __name__ == "__main__":
    main()
