"""PID 1: supervisord in the foreground, ending with an exit code that tells what happened.

Stays resident beside the server, so it imports what supervises and nothing else of ours.
"""

import signal
import sys

if __name__ == "__main__":
    # Until there is a handler, the kernel keeps SIGTERM from PID 1 (pid_namespaces(7)): a stop that comes
    # while the rest is imported would be lost, and the pod killed after its whole grace period.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

import os

from appliance import waiting_room

# The first thing of all: the API server may be dialling already.
ROOM = waiting_room.opened(os.environ) if __name__ == "__main__" else None

# Before the rest is imported as well, for it takes longer than that.
os.environ["SUPERVISOR_PID"] = str(os.getpid())  # the programs end with us: appliance/supervised.py
from appliance import handed

READING = handed.begun() if __name__ == "__main__" else None

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance import unserved

unserved.stand_in()

from supervisor import events
from supervisor.loggers import getLogger
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from appliance import private
from appliance.output import Lines

RUNNING = SupervisorStates.RUNNING
Untyped = Any  # supervisor has no types

CONFIG = "/usr/share/kleidi/supervisord.conf"  # where the image has it; a checkout names its own
CONTROL = "/dev/shm/kleidi-supervisor"  # noqa: S108  # memory, and writable below a read-only root
TERMINATION_LOG = Path("/dev/termination-log")  # the kubelet shows its text as the container's reason
USAGE = 2  # how every kleidi command ends when its configuration cannot work


class Foreground(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """supervisord's options for a life as PID 1."""

    exit_code = os.EX_OK
    room: waiting_room.WaitingRoom | None = None
    reading: handed.Reading | None = None
    reaped: tuple[int | None, int | None] = (None, None)
    conductor: "Conductor | None" = None

    def make_logger(self) -> None:
        """The few lines of supervisord's own look like the programs' and go where theirs go."""
        self.logger = getLogger(self.loglevel)
        self.logger.addHandler(Lines(self.loglevel))
        for text in self.parse_criticals + self.parse_warnings:
            self.logger.error(text)

    def set_uid_or_exit(self) -> None:
        """Stays who it is: the container's runtime has chosen the user, who need not be in /etc/passwd."""

    def openhttpservers(self, supervisord: Untyped) -> None:
        """Opens none. What listens inside supervisord comes in here: nothing has run yet."""
        self.conductor = Conductor(supervisord)

    def make_pipes(self, stderr: bool = True) -> dict[str, int | None]:  # noqa: ARG002  theirs
        """The programs print where we do, on descriptors that supervisord closes once they have them.

        It would read and print every line again. Nor could it open /dev/stdout for them: that fails where it
        is a socket or a pipe of another user's.
        """
        read = self.reading.opened() if self.reading else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        ours = {"stdin": None, "stdout": None, "stderr": None}
        return {**ours, "child_stdin": read, "child_stdout": os.dup(1), "child_stderr": os.dup(2)}

    def waitpid(self) -> tuple[int | None, int | None]:
        """Remembers the status, because finish() forgets it for a program that ended early (process.py)."""
        self.reaped = super().waitpid()
        return self.reaped


class Doorbell:
    """A socket among those supervisord polls, so that a signal is acted on now and not within a second."""

    def __init__(self, polled: dict[int, Untyped]) -> None:
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)
        polled[self._bell.fileno()] = self
        signal.set_wakeup_fd(self._button.fileno(), warn_on_full_buffer=False)

    def ring(self) -> None:
        with suppress(BlockingIOError):  # full: it is ringing anyway
            self._button.send(b"!")

    # The rest is what runforever() asks of anything in its socket map.

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(1)  # one at a time: handle_signal() takes one signal per round

    def handle_error(self) -> None:
        raise  # noqa: PLE0704  # called by runforever() inside its except clause


class Conductor:
    """Listens inside supervisord."""

    def __init__(self, supervisord: Untyped) -> None:
        self._supervisord = supervisord
        self._options = supervisord.options
        self._doorbell = Doorbell(self._options.get_socket_map())
        events.subscribe(events.SupervisorRunningEvent, self._start)
        events.subscribe(events.ProcessStateExitedEvent, self._ended)
        events.subscribe(events.ProcessStateBackoffEvent, self._ended)
        events.subscribe(events.ProcessStateFatalEvent, self._given_up)

    def _start(self, _event: Untyped) -> None:
        # 4.3.0 polls for a second before it starts the first program; its successor no longer does
        # (Supervisor/supervisor, CHANGES for 4.4.0). A program already started is left alone.
        for group in self._supervisord.process_groups.values():
            group.transition()

    def _ended(self, event: Untyped) -> None:
        process = event.process
        pid, status = self._options.reaped
        ended = pid == process.pid and status is not None  # otherwise it could not even be spawned
        if self._options.room and process.config.name == "kms" and self._options.mood == RUNNING:
            self._options.room.admit()
        if ended and os.waitstatus_to_exitcode(status) == USAGE:
            self._end(USAGE, f"program {process.config.name} ended with {USAGE} (configuration); see the log")
        elif process.config.startsecs:
            # It had been up: restart it in the next round. A one-shot keeps the second's pause between tries.
            self._doorbell.ring()

    def _given_up(self, event: Untyped) -> None:
        self._end(os.EX_SOFTWARE, f"program {event.process.config.name} does not stay up; see the log")

    def _end(self, code: int, reason: str) -> None:
        # Stopping gives up programs that wait for their next try, which is no failure (process.py, stop_all).
        if self._options.mood != RUNNING:
            return
        self._options.exit_code = code
        self._options.mood = SupervisorStates.SHUTDOWN
        self._options.logger.critical(reason)
        leave(reason)


def leave(reason: str, log: Path = TERMINATION_LOG) -> None:
    """Tells the kubelet, where there is one; elsewhere the file must not appear."""
    with suppress(OSError), log.open("r+") as file:
        file.write(reason + "\n")


@contextmanager
def control_directory() -> Iterator[None]:
    """A private directory for supervisord's pid: SUPERVISOR_DIR (a KLEIDI_ name would be a setting)."""
    path = Path(os.environ.setdefault("SUPERVISOR_DIR", CONTROL))
    try:
        private.directory(path)
    except (private.SharedError, NotADirectoryError) as error:
        wanted = "must be a directory of this user's alone (mode 0700)"
        sys.exit(_refusal(f"SUPERVISOR_DIR {path} {wanted}: {error.filename} {error.strerror}"))
    except OSError as error:
        sys.exit(_refusal(f"SUPERVISOR_DIR {path}: {error.strerror}"))
    # supervisord asks for a directory for temporary files and uses none; a read-only root may have none.
    os.environ.setdefault("TMPDIR", str(path))
    try:
        yield
    finally:
        with suppress(OSError):  # something else lives there as well
            path.rmdir()


def _refusal(reason: str) -> int:
    sys.stderr.write(f"kleidi: {reason}\n")
    return USAGE


def main(arguments: list[str] | None = None) -> int:
    match sys.argv[1:] if arguments is None else arguments:
        case []:
            config = CONFIG
        case ["--config", config]:
            pass
        case _:
            return _refusal("usage: python -m appliance.boot [--config FILE]")
    # The programs are those installed beside this interpreter, wherever that is.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    with control_directory():
        options = Foreground()
        options.room, options.reading = ROOM, READING
        options.realize(["--nodaemon", "--configuration", config], doc=__doc__)
        options.first = True
        options.test = False
        os.umask(options.umask)  # supervisord applies its umask only when it daemonizes (options.py)
        # Once, not in a loop as supervisord's own main(): a hangup then ends us like any other signal,
        # instead of starting everything again on a terminal that has gone.
        try:
            Supervisor(options).main()
        except ExitNow:
            pass
        finally:
            for opened in (ROOM, READING):
                if opened:
                    opened.close()
        return options.exit_code


if __name__ == "__main__":
    sys.exit(main())
