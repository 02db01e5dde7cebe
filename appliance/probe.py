#!/usr/bin/python3 -IS
"""One question to the health socket: `kleidi-probe --live|--ready [SOCKET]` or `--metrics [FILE [SOCKET]]`.

--live and --ready print one line and end with 0 or 1. --metrics writes what a scraper would get to FILE, for
node_exporter's textfile collector, or to stdout: all of it, or nothing and one line on stderr.

Runs every few seconds for years, so it imports nothing of ours: with -I and -S it costs little more than the
interpreter's own start. What it asks for is answered by appliance/service/health.py.
"""

import posix  # of which `os` is made, for a third of all that this costs
import sys

# What `socket` is made of; the rest of that module takes as long to import as the interpreter to start.
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket  # noqa: N812  a class, whatever its name

SOCKET = "/run/kleidi-admin/health.sock"
QUESTIONS = {"--live": "/livez", "--ready": "/standing"}
METRICS = "--metrics"
ITS_OWN = ("process_", "# HELP process_", "# TYPE process_")
# Below the five seconds that the manifests' probes may take.
SECONDS = 2.5
PIECE = 65536
# A hundred keys are some twenty kilobytes of metrics.
MOST = 4 << 20
OK = 200  # http.HTTPStatus would take longer to import than all this runs
USAGE = 2  # how every kleidi command ends when it is called wrongly


class UnansweredError(Exception):
    """Why there is no answer, in one line."""


def asked(path: str, question: str) -> tuple[int, str]:
    """The answer's status and its body. Raises UnansweredError."""
    try:
        return ask(path, question)
    except TimeoutError:
        why = f"E-SERVER-MUTE: somebody listens on {path}, but does not answer: timed out"
    except OSError as error:
        why = f"E-SERVER-UNREACHABLE: nobody answers on {path}: {error.strerror or error}"
    except (ValueError, IndexError):
        why = f"E-SERVER-UNREACHABLE: what answers on {path} is not kleidi"
    raise UnansweredError(why)


def ask(path: str, question: str) -> tuple[int, str]:
    """Raises OSError when nobody answers, ValueError or IndexError for what is no whole answer."""
    connection = Socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(f"GET {question} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while len(answer) < MOST and (piece := connection.recv(PIECE)):
            answer += piece
    finally:
        connection.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    (size,) = (field[16:] for field in fields if field.lower().startswith("content-length: "))
    if len(body) != int(size):
        raise ValueError("cut off")
    return int(line.split(maxsplit=2)[1]), body.decode()


def probe(path: str, question: str) -> int:
    try:
        status, body = asked(path, question)
    except UnansweredError as error:
        status, body = 0, str(error)
    line = body.partition("\n")[0]
    sys.stdout.write(f"{line}\n")
    return int(status != OK)


def metrics(path: str, file: str) -> int:
    try:
        status, body = asked(path, "/metrics")
        if status != OK:
            raise UnansweredError(f"/metrics on {path} answers {status}: {body.partition(chr(10))[0]}")
        if file == "-":
            sys.stdout.write(body)
        else:
            replace(file, collected(body).encode())
    except UnansweredError as error:
        sys.stderr.write(f"kleidi-probe: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"kleidi-probe: {file} cannot be written: {error.strerror}\n")
        return 1
    return 0


def collected(body: str) -> str:
    """Without what node_exporter tells of itself: it answers nobody where a name comes twice."""
    told = (line for line in body.splitlines(keepends=True) if not line.startswith(ITS_OWN))
    return "".join(told)


def replace(file: str, data: bytes) -> None:
    """Whoever reads *file* finds what was there or all of *data*. Raises OSError; then it is as it was."""
    directory, slash, name = file.rpartition("/")
    # The collector reads what ends in .prom; two that write at once must not have one name for it.
    hidden = f"{directory}{slash}.{name}.{posix.urandom(4).hex()}"
    descriptor = posix.open(hidden, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[posix.write(descriptor, rest) :]
            posix.fchmod(descriptor, 0o644)  # whatever the umask is, the collector is another user
        finally:
            posix.close(descriptor)
        posix.rename(hidden, file)
    except BaseException:
        posix.unlink(hidden)
        raise


def main(arguments: list[str] | None = None) -> int:
    first, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if first in QUESTIONS and len(rest) <= 1:
        return probe(rest[0] if rest else SOCKET, QUESTIONS[first])
    if first == METRICS and len(rest) <= 2:  # noqa: PLR2004  a file and a socket
        file, path = (*rest, *("-", SOCKET)[len(rest) :])
        return metrics(path, file)
    sys.stderr.write("usage: kleidi-probe --live|--ready [SOCKET] | --metrics [FILE [SOCKET]]\n")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
