#!/usr/bin/python3 -IS
"""`kleidi-probe --live|--ready [SOCKET]`: one question to the health socket, one line, exit code 0 or 1.

Runs every few seconds for years, so it imports nothing of ours: with -I and -S it costs little more than the
interpreter's own start. What it asks for is what appliance/service/health.py answers.
"""

import sys

# What `socket` is made of; the rest of that module takes as long to import as the interpreter to start.
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket  # noqa: N812  a class, whatever its name

SOCKET = "/run/kleidi-admin/health.sock"
QUESTIONS = {"--live": "/livez", "--ready": "/standing"}
# Below the five seconds that the manifests' probes may take.
SECONDS = 2.5
MOST = 8192
USAGE = 2  # how every kleidi command ends when it is called wrongly


def ask(path: str, question: str) -> tuple[int, str]:
    """The answer's status and its one line. Raises OSError when nobody answers, ValueError for no answer."""
    connection = Socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(f"GET {question} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while len(answer) < MOST and (piece := connection.recv(MOST)):
            answer += piece
    finally:
        connection.close()
    head, _, body = answer.decode("utf-8", "replace").partition("\r\n\r\n")
    return int(head.split(maxsplit=2)[1]), body.partition("\n")[0]


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) not in (1, 2) or arguments[0] not in QUESTIONS:
        sys.stderr.write("usage: kleidi-probe --live|--ready [SOCKET]\n")
        return USAGE
    path = arguments[1] if len(arguments) > 1 else SOCKET
    try:
        status, line = ask(path, QUESTIONS[arguments[0]])
    except TimeoutError:
        status, line = 0, f"E-SERVER-MUTE: somebody listens on {path}, but does not answer: timed out"
    except OSError as error:
        status, line = 0, f"E-SERVER-UNREACHABLE: nobody answers on {path}: {error.strerror or error}"
    except (ValueError, IndexError):
        status, line = 0, f"E-SERVER-UNREACHABLE: what answers on {path} is not kleidi"
    sys.stdout.write(f"{line}\n")
    return int(status != 200)  # noqa: PLR2004  http.HTTPStatus would take longer to import than all this runs


if __name__ == "__main__":
    sys.exit(main())
