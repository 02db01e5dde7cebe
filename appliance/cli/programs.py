"""The two programs that the supervisor runs. They take nothing that only a command line needs."""

import gc
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from appliance import assembly, handed, logs
from appliance.faults import Exit, Kind, KleidiError
from appliance.provision.policy import Policy

if TYPE_CHECKING:
    from appliance.settings import Settings

_RETRY_SECONDS = 2.0
_WAITING, _WARNED = "not provisioned yet", "provisioned, with a warning"


def provision(*, keep_trying: bool = False) -> None:
    """Bring the volume to its first generation, or verify it; *keep_trying* waits for what may heal."""
    settings = _ready()
    said = ""
    while True:
        try:
            done = assembly.provision(settings)
        except KleidiError as error:
            if not (keep_trying and _may_heal(error)):
                raise
            if str(error) != said:
                logs.event(
                    logging.WARNING, _WAITING, id=error.fault.id, why=error.fault.words, detail=error.detail
                )
            said = str(error)
            time.sleep(_RETRY_SECONDS)
        else:
            for fault in dict.fromkeys(done.opened.warnings):
                logs.event(logging.WARNING, _WARNED, id=fault.id, why=fault.words)
            for said in dict.fromkeys(done.said):
                logs.event(logging.WARNING, _WARNED, detail=said)
            keyset = done.opened.payload.keyset
            what = "provisioned" if done.born else "the volume is provisioned already"
            logs.event(logging.INFO, what, key_id=keyset.primary.id, keyset=keyset.hash)
            return


def serve() -> None:
    """Answer until SIGTERM."""
    assembly.serve(_ready)


def _ready() -> "Settings":
    settings = _handed() or _read()
    logs.configure(form=settings.log_format, level=settings.log_level)
    gc.freeze()  # what is imported by now stays, and no collection needs to look at it again
    return settings


def _handed() -> "Settings | None":
    data = handed.taken()
    if not data:
        return None
    values = handed.unpacked(data)
    return cast("Settings", SimpleNamespace(**values | {"provision": Policy(values["provision"])}))


def _read() -> "Settings":
    from appliance.settings import load

    return load()


def _may_heal(error: KleidiError) -> bool:
    return error.fault.kind is not Kind.CONFIGURATION and error.fault.exit is not Exit.UNPROVISIONED


# What the supervisor types, word for word.
BY_WORDS: Mapping[tuple[str, ...], Callable[[], None]] = {
    ("serve",): serve,
    ("provision",): provision,
    ("provision", "--keep-trying"): partial(provision, keep_trying=True),
}
