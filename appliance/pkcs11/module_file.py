"""The module as a file: refused unless only its owner can change it, and tried before it is loaded here.

What a trial found of a file that ends processes is kept for as long as this one lives and the file stays.
"""

import os
import stat
from pathlib import Path
from threading import Lock
from typing import Final

from appliance import private, regular
from appliance.pkcs11.options import Pkcs11Options
from softhsm.pkcs11 import module, trial
from softhsm.pkcs11.binding import Functions
from softhsm.pkcs11.errors import CrashedError, ModuleError, again
from softhsm.pkcs11.token import Wanted

Identity = tuple[int, int, int, int]

_crashed: Final[dict[tuple[Identity, str], CrashedError]] = {}
_lock: Final = Lock()


def load(options: Pkcs11Options) -> Functions:
    """Raises `ModuleError`, also for one that ended the process that tried it; `AwayError` if it hangs."""
    tried = _check(options.module), options.parameters
    with _lock:
        if tried in _crashed:
            raise again(_crashed[tried])
        try:
            trial.demand(options.module, options.parameters, Wanted(options.serial, options.label))
        except CrashedError as error:
            _crashed[tried] = CrashedError(str(error))
            raise
    return module.load(options.module)


def _check(path: Path) -> Identity:
    """Who can write the module can do all that we can: only its owner may, and that is root or we."""
    try:
        # Vendors' names without a version are links.
        real = path.resolve(strict=True)
        status = os.stat(real)  # noqa: PTH116
        if not stat.S_ISREG(status.st_mode):
            raise ModuleError(f"{path} is not a regular file")
        private.unwritable(real)
        private.unwritable(real.parent)
    except (OSError, RuntimeError) as error:
        where = getattr(error, "filename", None) or path
        raise ModuleError(f"{where}: {regular.words(error)}") from None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
