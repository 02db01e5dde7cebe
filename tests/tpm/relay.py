"""Between us and the chip: a server that answers as a test says, or a device like the kernel's."""

import os
import pty
import secrets
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance.tpm.wire import Exchange
from tests.tpm.chip import Chip

# A command comes; the answer goes back, or None: then the connection ends.
Answers = Callable[[bytes], bytes | None]


@contextmanager
def served(answers: Answers) -> Iterator[Path]:
    """A socket at which *answers* answers, one command after the other."""
    path = Path("/dev/shm") / f"kleidi-tpm-{secrets.token_hex(6)}"  # noqa: S108
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(4)
        thread = threading.Thread(target=_serve, args=(server, answers))
        thread.start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


def _serve(server: socket.socket, answers: Answers) -> None:
    # It ends when it is shut down.
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                while (command := connection.recv(4096)) and (answer := answers(command)) is not None:
                    connection.sendall(answer)


@contextmanager
def device(chip: Chip, *, silent: bool = False) -> Iterator[Path]:
    """A character device that takes the chip's commands, or takes them and answers none."""
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    stop, told = os.pipe()
    with chip.talk() as exchange:
        thread = threading.Thread(target=_carry, args=(master, stop, None if silent else exchange))
        thread.start()
        try:
            yield Path(os.ttyname(slave))
        finally:
            os.close(told)
            thread.join()
        for descriptor in (master, slave, stop):
            os.close(descriptor)


def _carry(master: int, stop: int, exchange: Exchange | None) -> None:
    while True:
        ready, _, _ = select.select([master, stop], [], [])
        if stop in ready:
            return
        command = os.read(master, 4096)
        if exchange is not None:
            os.write(master, exchange(command))
