"""The PIN's file: nobody else may read it, and it is read anew at each login."""

import os
import stat
from pathlib import Path
from typing import Final

from appliance import regular
from softhsm.pkcs11.errors import PinError

_MOST: Final = 1024  # bytes


class PinFile:
    """A `Pin`: one line, its end cut off. Raises `PinError`, whose words never hold any of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> object:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def read(self) -> bytearray:
        try:
            pin = self._content()
        except OSError as error:
            raise PinError(f"{self._path}: {regular.words(error)}") from None
        if pin.endswith(b"\n"):
            del pin[-1:]
        if pin.endswith(b"\r"):
            del pin[-1:]
        if not pin or set(pin) & set(b"\r\n\0"):
            pin[:] = bytes(len(pin))
            raise PinError(f"{self._path}: not one line with a PIN in it")
        return pin

    def _content(self) -> bytearray:
        # O_NONBLOCK: a FIFO would wait for a writer. A mounted Secret is a link.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            regular.check(descriptor, self._path, _MOST)
            status = os.fstat(descriptor)
            if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o077:
                raise PinError(f"{self._path}: others can read or change it; make it ours alone, mode 0400")
            content = bytearray(_MOST)
            size = os.readv(descriptor, [content])
            pin = content[:size]
            content[:] = bytes(_MOST)
            return pin
        finally:
            os.close(descriptor)
