"""What `softhsm.trial`, `softhsm.forge` and `softhsm.survey` have in common: each is a process of its own.

By a line break it says that others of its user can look neither into it nor into its pipes. Then one JSON
object comes on standard input, since a PIN must be in no argument and no environment; one goes out.
A process of its own, for it must find only what is in the files, the one that serves has the module in use,
and some damaged files make SoftHSM end or abort the process it runs in: no answer at all is a failure too.
"""

import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softhsm.errors import SoftHsmError
from softhsm.library import Library
from softhsm.session import Session
from softhsm.token import Token

Order = Mapping[str, Any]
_CLOSED = b"\n"  # blank to a reader of JSON


class TrialFailedError(SoftHsmError):
    """The token works, but does not hold or do what it should."""


def ask(program: str, order: Order, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Let *program* carry out *order*, with *seconds* to begin and as many to end.

    Raises OSError and TimeoutExpired.
    """
    command, pipe = [sys.executable, "-I", "-m", program], subprocess.PIPE
    # Our own interpreter, our own module.
    with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603
        try:
            greeting = _first_byte(process, seconds)
            # One that ended or says anything else gets nothing to read.
            told = json.dumps(order).encode() if greeting == _CLOSED else b""
            said, complained = process.communicate(told, seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def _first_byte(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    if process.stdout is None:
        raise ValueError("its output is not a pipe of ours")
    waiting = select.poll()  # select(2) takes no descriptor above 1023, and a server may hold thousands
    waiting.register(process.stdout)
    if not waiting.poll(seconds * 1000):
        raise subprocess.TimeoutExpired(process.args, seconds)
    return process.stdout.read(1)


def answer(run: Callable[[Order], dict[str, Any]]) -> int:
    """Carry out the order on standard input, and answer the exit code."""
    sys.stdout.write(_CLOSED.decode())
    sys.stdout.flush()
    try:
        said = run(json.load(sys.stdin))
    except SoftHsmError as error:
        said = {"error": type(error).__name__, "detail": str(error)}
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        # Their texts may quote the order, and the PIN is in it.
        said = {"error": type(error).__name__, "detail": "the order could not be read or carried out"}
    json.dump(said, sys.stdout)
    return 1 if "error" in said else 0


@contextmanager
def loaded(order: Order) -> Iterator[Library]:
    """Serve the token directory of *order* with its module, or with the installed one."""
    module = order["module"]
    library = Library.find(None if module is None else Path(module))
    library.load(Path(order["tokens"]))
    try:
        yield library
    finally:
        library.unload()


@contextmanager
def opened(token: Token, user_pin: str) -> Iterator[Session]:
    session = token.open(user_pin)
    try:
        yield session
    finally:
        session.close()


def probed(session: Session, object_id: str, probe: Order) -> bytes:
    """What the key makes of the plaintext of *probe*, once it has opened that again."""
    nonce, plaintext, aad = (bytes.fromhex(probe[field]) for field in ("nonce", "plaintext", "aad"))
    ciphertext = session.encrypt(object_id, nonce, plaintext, aad)
    if session.decrypt(object_id, nonce, ciphertext, aad) != plaintext:
        raise TrialFailedError(f"key {object_id} does not open what it closed")
    return ciphertext
