"""Looking at the cluster's data: which stored objects are encrypted under which key id."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from appliance import faults, given
from appliance.cli.options import EtcdPrefix, Output, Printed, Snapshot, tell
from appliance.faults import KleidiError
from appliance.settings import load
from appliance.usage.report import Count, KnownKey
from appliance.usage.tally import Tally

Endpoints = Annotated[
    str, typer.Option("--endpoints", help="etcd's client addresses, comma separated; any will do.")
]
Cacert = Annotated[
    Path | None, typer.Option("--cacert", help="The CA that signed etcd's certificate, in PEM.")
]
Cert = Annotated[Path | None, typer.Option("--cert", help="A client certificate that etcd accepts, in PEM.")]
Key = Annotated[Path | None, typer.Option("--key", help="Its private key, in PEM.")]
FromEtcdctl = Annotated[
    str,
    typer.Option(
        "--from-etcdctl", help="Read what `etcdctl get PREFIX --prefix -w json` printed: a file, or -."
    ),
]
KeyId = Annotated[str, typer.Option("--key-id", help="Only what is encrypted under this key id.")]

LOOPBACK = "https://127.0.0.1:2379"
REGISTRY = "/registry"


def usage(  # one parameter for each option
    *,
    endpoints: Endpoints = LOOPBACK,
    cacert: Cacert = None,
    cert: Cert = None,
    key: Key = None,
    prefix: EtcdPrefix = REGISTRY,
    from_etcdctl: FromEtcdctl = "",
    etcd_snapshot: Snapshot = "",
    key_id: KeyId = "",
    output: Printed = Output.TEXT,
) -> None:
    """How many stored objects are encrypted under which key id; read from etcd, needs no key."""
    if from_etcdctl and etcd_snapshot:
        raise KleidiError(faults.COMMAND_LINE, "--from-etcdctl or --etcd-snapshot, not both")
    if etcd_snapshot:
        tally = counted_in_snapshot(etcd_snapshot, prefix)
    elif from_etcdctl:
        tally = counted_in_document(from_etcdctl, prefix)
    else:
        tally = counted_in_etcd(endpoints, cacert, cert, key, prefix)
    if tally.complete and tally.whole_cluster:
        _hand_over(tally)
    tell(Count.of(tally, key_id, _known()), output)


def _known() -> dict[str, KnownKey]:
    """The keys of this node's server by their ids; none where none answers, or settings are wrong.

    Names are a help; a count needs neither a server nor settings.
    """
    try:
        socket = load().admin_socket
        if not socket.exists():
            return {}
        from appliance.client import admin

        return {key.key_id: KnownKey(key.name, key.state, key.engine) for key in admin.ask(socket).keys}
    except (KleidiError, OSError):
        return {}


def _hand_over(tally: Tally) -> None:
    """For the metrics of this node's server; nothing is said where none takes it."""
    with contextlib.suppress(KleidiError, OSError):
        socket = load().admin_socket
        if socket.exists():
            from appliance.client import admin

            admin.counted(socket, tally.by_key)


def counted_in_etcd(
    endpoints: str, cacert: Path | None, cert: Path | None, key: Path | None, prefix: str
) -> Tally:
    """A complete tally, or a fault."""
    from appliance.usage.counting import count
    from appliance.usage.endpoint import Identity
    from appliance.usage.etcd import Etcd

    etcd = Etcd([each for each in endpoints.split(",") if each], Identity(cacert, cert, key), prefix)
    with _progress(lambda: etcd.total) as watch:
        return count(etcd, prefix, watch)


def counted_in_document(name: str, prefix: str) -> Tally:
    """A complete tally, or a fault; *name* `-` is standard input."""
    from appliance.usage import packed
    from appliance.usage.counting import count
    from appliance.usage.etcdctl import Etcdctl

    with given.opened(name) as stream, _progress(lambda: 0) as watch:
        if form := packed.form(stream.peek()[:512]):
            raise KleidiError(
                faults.ETCDCTL_INVALID, f"{name} is packed as {form}: give it unpacked, by a pipe and -"
            )
        return count(Etcdctl(stream), prefix, watch)


def counted_in_snapshot(name: str, prefix: str) -> Tally:
    """A complete tally, or a fault; *name* `-` is standard input."""
    from appliance.usage.counting import count
    from appliance.usage.snapshot import Snapshot as File

    with File.open(name, prefix) as source, _progress(lambda: 0) as watch:
        return count(source, prefix, watch)


@contextlib.contextmanager
def _progress(total: Callable[[], int]) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr where somebody watches; a total of 0 is one that nobody knows yet."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("counting"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting", total=None)
        yield lambda number: bar.update(task, completed=number, total=total() or None)
