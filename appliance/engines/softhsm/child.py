"""The token room's programs, each in a process of its own, and what the token room's failures mean here."""

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import softhsm
from appliance import faults
from appliance.faults import Fault, KleidiError
from softhsm import child

_SECONDS = 60
_LEAST_FREE = 64 * 1024  # bytes: a token with one key, and what SoftHSM rewrites of it
# The module's trouble is that wherever it comes up: no token failed a trial, and none was lost.
_OF_THE_MODULE = {
    softhsm.ModuleMissingError.__name__: faults.MODULE_MISSING,
    softhsm.ModuleUnusableError.__name__: faults.MODULE_UNUSABLE,
}


def run(program: str, tokens: Path, order: Mapping[str, object], fault: Fault) -> dict[str, Any]:
    """The answer of a *program* that works on *tokens*. The PINs go by a pipe: others can read argv."""
    try:
        ended = child.ask(program, order, _SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KleidiError(fault, f"{program}: {type(error).__name__}") from error
    answer = _answer(ended.stdout.decode(errors="replace"))
    if "error" in answer:
        raise _refusal(str(answer["error"]), str(answer.get("detail")), blamed(tokens.parent, fault))
    # Some damaged files make SoftHSM end or abort the process: then there is no answer at all.
    if ended.returncode != 0 or not answer:
        said = ended.stderr.decode(errors="replace").strip()[-300:] or f"exit code {ended.returncode}"
        raise KleidiError(blamed(tokens.parent, fault), f"{program}: {said}")
    return answer


def told(error: softhsm.SoftHsmError, fault: Fault) -> KleidiError:
    """What failed in this process: the module's own fault, or else *fault*."""
    return _refusal(type(error).__name__, str(error), fault)


def blamed(directory: Path, fault: Fault) -> Fault:
    """SoftHSM answers a full memory with a general error."""
    with contextlib.suppress(OSError):
        room = os.statvfs(directory)
        if room.f_bavail * room.f_frsize < _LEAST_FREE or (room.f_files and not room.f_favail):
            return faults.MEMORY_FULL
    return fault


def _refusal(name: str, detail: str, fault: Fault) -> KleidiError:
    if of_the_module := _OF_THE_MODULE.get(name):
        return KleidiError(of_the_module, detail)
    return KleidiError(fault, detail or name)


def _answer(said: str) -> dict[str, Any]:
    """The one JSON object that a program ends with; empty when it did not come so far."""
    try:
        answer = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return answer if isinstance(answer, dict) else {}
