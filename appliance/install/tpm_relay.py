"""Hands one client's whole commands to the TPM, and its answers back: kleidi-tpm@.service, on the host.

A pod without privileges may open no device of the node, whatever is mounted into it, but dial a socket.
systemd starts one of these for each who does, with the connection as standard input. So what a client
leaves in the TPM goes with this process: the kernel's resource manager forgets it when the device is closed.

It runs under the host's own Python: nothing but the standard library, and no syntax later than 3.6's.
"""

import os
import socket
import stat
import struct
import sys
from pathlib import Path

# Tag, size of all, code: ahead of every command and of every answer (TPM 2.0 part 1, 18.8).
_HEADER = struct.Struct(">HII")
# In bytes, of a command and of an answer: the kernel's own bound (TPM_BUFSIZE).
_MOST = 4096
# What sealing to a TPM takes, and looking at it. The chip is the host's: whoever gets into the pod must not
# clear it, own it, extend what it measured, or store anything in it.
ALLOWED = {
    0x131,  # CreatePrimary
    0x153,  # Create
    0x157,  # Load
    0x15E,  # Unseal
    0x161,  # ContextLoad
    0x162,  # ContextSave
    0x165,  # FlushContext
    0x16B,  # PolicyAuthValue
    0x16C,  # PolicyCommandCode
    0x173,  # ReadPublic
    0x176,  # StartAuthSession
    0x17A,  # GetCapability
    0x17B,  # GetRandom
    0x17C,  # GetTestResult
    0x17E,  # PCR_Read
    0x17F,  # PolicyPCR
    0x180,  # PolicyRestart
    0x189,  # PolicyGetDigest
}
# The TPM's own words for a command that it does not have: TPM_ST_NO_SESSIONS, TPM_RC_COMMAND_CODE.
_REFUSED = _HEADER.pack(0x8001, _HEADER.size, 0x143)


class BrokenError(Exception):
    """One side said what is no whole message."""


def relay(client: int, tpm: int) -> None:
    """Until the client hangs up. Raises BrokenError, and OSError where the TPM fails."""
    while True:
        try:
            # Not a byte beyond the command: the next one may be behind it already.
            command = whole(client, _HEADER.size)
        except ConnectionError:
            return
        if not command:
            return
        answer = _REFUSED
        if _HEADER.unpack_from(command)[2] in ALLOWED:
            os.write(tpm, command)
            # A device gives all of an answer in one read, and may forget what was not asked for.
            answer = whole(tpm, _MOST)
            if not answer:
                raise BrokenError("the TPM went away in the middle of a command")
        try:
            send(client, answer)
        except ConnectionError:  # it did not wait for the answer
            return


def whole(source: int, first: int) -> bytes:
    """One command or answer, of which *first* bytes are asked for at once; nothing at an end between two."""
    message = os.read(source, first)
    while message and len(message) < size(message):
        more = os.read(source, size(message) - len(message))
        if not more:
            raise BrokenError("half a message")
        message += more
    return message


def size(message: bytes) -> int:
    """How long it says it is; as long as a header while that is not told."""
    if len(message) < _HEADER.size:
        return _HEADER.size
    told = int(_HEADER.unpack_from(message)[1])
    if not _HEADER.size <= told <= _MOST:
        raise BrokenError(f"a message of {told} bytes, where {_HEADER.size} to {_MOST} can be")
    return told


def send(client: int, message: bytes) -> None:
    while message:
        message = message[os.write(client, message) :]


def opened(path: str) -> int:
    """The device, or the socket of a software TPM, as told by what is there. Raises OSError."""
    if not stat.S_ISSOCK(Path(path).stat().st_mode):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection.detach()


def main(path: str) -> int:
    try:
        relay(0, opened(path))
    except BrokenError as error:
        sys.stderr.write(f"kleidi-tpm: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"kleidi-tpm: {path}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
