"""Commands in processes that have imported everything before: imports take four times as long as a verb.

Each is a child of multiprocessing's fork server, which only imports: it has no thread, token or channel.
"""

import ctypes
import multiprocessing
import os
import resource
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults.acts import name_foreseeably
from tests.volume.house import CHECKOUT, CHILD_MEMORY, CHILD_SECONDS

Act = Callable[[tuple[str, ...]], object]
# linux/prctl.h: where Yama is strict, a process says itself who may trace it.
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)

_context = multiprocessing.get_context("forkserver")
# The engine is imported in the registry's branch, and so would be by every child.
_context.set_forkserver_preload(["tests.faults.warm", "tests.faults.look", "appliance.engines.softhsm"])
# Starting one process looks after the others, and an exit code can be read only once.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Ended:
    """*code* is as subprocess has it: a signal's number is negative."""

    code: int
    out: str
    said: str

    @property
    def well(self) -> bool:
        return self.code == 0


def run(
    act: Act, words: tuple[str, ...], environment: Mapping[str, str], tracer: tuple[str, ...] = ()
) -> Ended:
    """Let *act* do *words* in a process of its own, under the strace command *tracer* if there is one."""
    with started(act, words, environment, tracer) as child:
        if not wait([child.sentinel], CHILD_SECONDS):
            raise AssertionError(f"it hangs: {words}\n{child.said()}")
    return child.ended()


@dataclass(frozen=True)
class _Order:
    act: Act
    words: tuple[str, ...]
    environment: dict[str, str]
    traced: bool

    @property
    def place(self) -> Path:
        """Where its output goes."""
        return Path(self.environment["KLEIDI_MEMORY_DIR"]).with_suffix(".said")


class Child(ForkServerProcess):
    def __init__(self, order: _Order) -> None:
        self._place = order.place
        self._place.mkdir(parents=True, exist_ok=True)
        waits, self._gate = _context.Pipe(duplex=False)
        super().__init__(target=_begin, args=(order, waits))

    def go(self) -> None:
        self._gate.send(None)

    def finish(self) -> None:
        """Ask it to end, and wait until it has."""
        self.terminate()
        assert wait([self.sentinel], CHILD_SECONDS), f"it does not end: {self.said()}"

    def said(self) -> str:
        return self._text("err")

    def ended(self) -> Ended:
        """How it ended; it must have."""
        assert self.exitcode is not None
        return Ended(self.exitcode, self._text("out"), self._text("err"))

    def _text(self, name: str) -> str:
        return (self._place / name).read_text(errors="replace")


@contextmanager
def started(
    act: Act, words: tuple[str, ...], environment: Mapping[str, str], tracer: tuple[str, ...] = ()
) -> Iterator[Child]:
    """It has begun; at the end it is no more."""
    child = Child(_Order(act, words, dict(environment), bool(tracer)))
    with _one_at_a_time:
        child.start()
    strace = _attached(tracer, child) if tracer else None
    try:
        child.go()
        yield child
    finally:
        with _one_at_a_time:
            child.kill()
            child.join()
        if strace is not None:
            strace.communicate(timeout=CHILD_SECONDS)


def _attached(tracer: tuple[str, ...], child: Child) -> subprocess.Popen[str]:
    strace = subprocess.Popen([*tracer, "-p", str(child.pid)], stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    line = strace.stderr.readline()
    if "attached" not in line:
        child.kill()
        raise AssertionError(f"strace did not begin: {line}{strace.communicate()[1]}")
    return strace


def _begin(order: _Order, gate: Connection) -> None:
    """In the child: become what a fresh process of that command would be, and wait until it may go."""
    for name, number in (("out", 1), ("err", 2)):
        descriptor = os.open(order.place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(CHECKOUT)
    resource.setrlimit(resource.RLIMIT_AS, 2 * (CHILD_MEMORY * 1024,))
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    if order.traced:
        name_foreseeably()
    gate.recv()
    gate.close()
    order.act(order.words)
