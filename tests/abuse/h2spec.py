"""h2spec's cases (tests/abuse/cases, in Go) against a Unix socket, by a relay: it speaks TCP alone."""

import contextlib
import json
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.http2 import STATUS

_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Case:
    name: str
    asks: str
    result: str


@contextlib.contextmanager
def relayed(path: Path) -> Iterator[str]:
    """A port of loopback that leads to the socket at *path*."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        accepting = threading.Thread(target=_accept, args=(door, path))
        accepting.start()
        try:
            yield "{}:{}".format(*door.getsockname())
        finally:
            door.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            accepting.join()


def _accept(door: socket.socket, path: Path) -> None:
    with contextlib.suppress(OSError):
        while True:
            outer, _ = door.accept()
            threading.Thread(target=_relay, args=(outer, path), daemon=True).start()


def _relay(outer: socket.socket, path: Path) -> None:
    with outer, socket.socket(socket.AF_UNIX) as inner:
        inner.connect(str(path))
        back = threading.Thread(target=_pass_on, args=(inner, outer), daemon=True)
        back.start()
        _pass_on(outer, inner)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def run(program: Path, path: Path) -> list[Case]:
    with relayed(path) as address:
        done = subprocess.run(
            [program, address, STATUS], check=True, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    told = (json.loads(line) for line in done.stdout.splitlines())
    return [Case(one["case"], one["asks"], one["result"]) for one in told]


def table(program: Path, path: Path) -> list[str]:
    cases = run(program, path)
    counted = Counter(case.result.partition(":")[0] for case in cases)
    lines = [
        f"h2spec: {len(cases)} cases, {', '.join(f'{count} {what}' for what, count in counted.items())}",
        "",
    ]
    lines += ["| case | asks | result |", "|---|---|---|"]
    for case in cases:
        if case.result != "passed":
            lines.append(f"| {case.name} | {case.asks} | {' '.join(case.result.split())} |")
    return lines
