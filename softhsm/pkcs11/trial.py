"""Try a module in a process of its own: `python -m softhsm.pkcs11.trial MODULE <JSON`, without any login.

A vendor's module may end the process that loads it, and the one that serves must not end with it, again and
again. The order is `{"parameters": its own, "serial": the token's, "label": the token's}`, the answer
`{"token": …}` or `{"error": …}`; no answer at all tells the most.
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.errors import AwayError, CrashedError, ModuleError, NoGcmError, Pkcs11Error
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Wanted

_BEGUN: Final = "begun\n"
_SECONDS: Final = 20.0  # a module across a network may look for its device for long


def demand(path: Path, parameters: str, wanted: Wanted, seconds: float = _SECONDS) -> None:
    """Raise `CrashedError`, `ModuleError` for what cannot be loaded, `AwayError` for what does not answer.

    That there is no token, or none like that, is not for the trial to tell: whoever connects sees it.
    """
    order = json.dumps({"parameters": parameters, "serial": wanted.serial, "label": wanted.label})
    command = [sys.executable, "-I", "-m", "softhsm.pkcs11.trial", str(path)]
    try:
        # Our own interpreter, our own module.
        done = subprocess.run(  # noqa: S603
            command,
            input=order,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AwayError(
            f"the module did not answer within {seconds:.0f} s, in a process of its own"
        ) from None
    except OSError as error:
        raise AwayError(f"no process to try the module in: {error.strerror}") from None
    if not done.stdout.startswith(_BEGUN) or done.returncode == -signal.SIGKILL:
        # Memory that ran out, and nothing that the module did.
        raise AwayError(f"the process to try the module in did not come to it: {_ended(done.returncode)}")
    try:
        said: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        said = {}
    # It may say all and end badly behind that.
    if not said or done.returncode < 0:
        raise CrashedError(f"the process that tried it ended {_ended(done.returncode)}")
    if said.get("kind") == ModuleError.__name__:
        raise ModuleError(str(said["error"]))


def run(path: Path, order: dict[str, str]) -> dict[str, str]:
    module = Module.at(path, order["parameters"])
    try:
        module.initialize()
        try:
            token = tokens.find(module, Wanted(order["serial"], order["label"]))
            with suppress(NoGcmError):
                tokens.demand_gcm(module, token)
            Session(module, token.slot).close()
        finally:
            module.finalize()
    except Pkcs11Error as error:
        return {"error": str(error), "kind": type(error).__name__}
    return {"token": str(token)}


def _ended(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


if __name__ == "__main__":
    sys.stdout.write(_BEGUN)
    sys.stdout.flush()
    # Some modules print to stdout, also when the process ends.
    sys.stdout.write("\n" + json.dumps(run(Path(sys.argv[1]), json.load(sys.stdin))) + "\n")
    sys.stdout.flush()
