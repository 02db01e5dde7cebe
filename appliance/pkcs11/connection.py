"""The devices of this process: one for each choice of options, for a login belongs to process and token.

Whoever opens an engine, or uses one for a single act, holds the device meanwhile; the last one logs out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Final

from appliance.pkcs11 import module_file
from appliance.pkcs11.options import Pkcs11Options
from appliance.pkcs11.pin_file import PinFile
from softhsm.pkcs11.cipher import Cipher
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.key_pairs import KeyPairs
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.token import Wanted


class Connection:
    """Not connected until a call comes, and never made twice: a module that hangs stays known for one."""

    _every: Final[dict[Pkcs11Options, "Connection"]] = {}
    _lock: Final = Lock()

    def __init__(self, device: Device, seconds: float) -> None:
        self.device = device
        self._seconds = seconds
        self.cipher = Cipher(device)
        self.pairs = KeyPairs(device)
        self._holders = 0
        # Whether it ever did what it was held for: until then the library has to be tried and loaded.
        self.proven = False

    @classmethod
    def of(cls, options: Pkcs11Options) -> "Connection":
        with cls._lock:
            if options not in cls._every:
                cls._every[options] = cls(_device(options), options.call_seconds)
            return cls._every[options]

    def hold(self) -> None:
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """The last one waits for the end, but no longer than for a call: C_Finalize may hang as well."""
        with self._lock:
            self._holders -= 1
            last = not self._holders
        if last:
            closing = Thread(target=self.device.close, name="pkcs11-close", daemon=True)
            closing.start()
            closing.join(self._seconds)

    @contextmanager
    def held(self) -> Iterator["Connection"]:
        self.hold()
        try:
            yield self
            self.proven = True
        finally:
            self.release()


def _device(options: Pkcs11Options) -> Device:
    return Device(
        Module(lambda: module_file.load(options), options.parameters),
        Wanted(options.serial, options.label),
        PinFile(options.pin_file) if options.pin_file else None,
        lanes=options.lanes,
        seconds=options.call_seconds,
    )
