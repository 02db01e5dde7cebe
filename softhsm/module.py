"""The module as a file: what can be known of it before it is a part of this process.

PyKCS11 says too little of what it cannot load, prints it past everybody's log, and a half-written copy ends
the process that maps it.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from softhsm.errors import ModuleMissingError, ModuleUnusableError

_OURSELVES: Final = Path("/proc/self/exe")
_ENTRY: Final = "C_GetFunctionList"
# Elf64_Ehdr and Elf64_Phdr (elf(5)), little-endian as on every machine that we are built for.
_HEADER: Final = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_MAGIC, _LOADED = b"\x7fELF", 1


def check(module: Path) -> None:
    """Refuse what is no library for this machine, or not all of one. Waits for nothing, runs nothing."""
    try:
        # O_NONBLOCK: a FIFO would wait for a writer.
        descriptor = os.open(module, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ModuleMissingError(f"{module} is not there") from None
    except OSError as error:
        raise ModuleUnusableError(f"{module}: {error.strerror}") from None
    try:
        _look(descriptor, module)
    except (OSError, struct.error):
        raise ModuleUnusableError(f"{module} is not a library") from None
    finally:
        os.close(descriptor)


@contextmanager
def mapped(module: Path) -> Iterator[None]:
    """Keep *module* mapped, so that whoever loads it meanwhile finds what was looked at here."""
    check(module)
    try:
        library = ctypes.CDLL(str(module))
    except OSError as error:
        # The dynamic linker's own words: another libc, a library that it needs and that is not here.
        raise ModuleUnusableError(str(error)) from None
    try:
        if not hasattr(library, _ENTRY):
            raise ModuleUnusableError(f"{module} has no {_ENTRY}, so it is no PKCS#11 module")
        yield
    finally:
        let_go(library)


def let_go(library: ctypes.CDLL) -> None:
    """Give back what ctypes mapped; whoever else has the module mapped keeps it."""
    ctypes.CDLL(None).dlclose(ctypes.c_void_p(library._handle))  # noqa: SLF001  ctypes has no other way


def _look(descriptor: int, module: Path) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ModuleUnusableError(f"{module} is not a regular file")
    header = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
    with _OURSELVES.open("rb") as file:
        ours = _HEADER.unpack(file.read(_HEADER.size))
    magic, *kind = header[:5]
    if magic != _MAGIC:
        raise ModuleUnusableError(f"{module} is not a library")
    # Class, byte order and machine; between them whether it is a program or a library.
    if kind[:2] + kind[3:] != [*ours[1:3], ours[4]]:
        told = f"{module} is for another machine: ELF class {kind[0]}, machine {kind[3]}"
        raise ModuleUnusableError(f"{told}; here are class {ours[1]}, machine {ours[4]}")
    whole = _size(descriptor, header[7], header[11], header[12])
    if status.st_size < whole:
        raise ModuleUnusableError(f"{module} is cut off: {status.st_size} bytes of at least {whole}")


def _size(descriptor: int, start: int, size: int, count: int) -> int:
    """How large the file must be at least for all that is mapped of it."""
    rows = (os.pread(descriptor, _SEGMENT.size, start + number * size) for number in range(count))
    segments = [_SEGMENT.unpack(row) for row in rows]
    return max((row[2] + row[5] for row in segments if row[0] == _LOADED), default=0)
