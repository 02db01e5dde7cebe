"""A snapshot as it is found, packed or coming through a pipe, laid out as a plain file without a name.

k3s and RKE2 zip theirs (etcd-snapshot-compress), people gzip them. Nothing here takes more memory for a
larger file, or more disk than _MOST; what was never a snapshot is refused at its first block, bombs too.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from appliance import faults
from appliance.faults import KleidiError

Check = Callable[[bytes], None]
_MOST = 16 << 30  # etcd advises against more than 8 GiB (--quota-backend-bytes)
_BLOCK = 1 << 20
_XZ_MEMORY = 128 << 20  # xz -9 wants 65 MiB
_MAGIC = (  # where it lies, and what it says
    (0, b"PK\x03\x04", "zip"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (257, b"ustar", "tar"),
)
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError)


def form(head: bytes) -> str:
    """What a file is packed as, by its first block; empty when it is not, or in no way that is known here."""
    return next((name for at, magic, name in _MAGIC if head.startswith(magic, at)), "")


@contextmanager
def plain(stream: BinaryIO, name: Path, check: Check) -> Iterator[BinaryIO]:
    """What *stream* has when nothing packs it, in a regular file; *name* is where it comes from.

    *check* is shown the first block, and raises when it belongs to no snapshot. Raises E-SNAPSHOT-PACKED for
    what must be unpacked by hand, E-SNAPSHOT-INVALID for what cannot be unpacked, and OSError.
    """
    with ExitStack() as exits:
        near = name.parent
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            near = Path()  # what lies beside a pipe may be memory: /dev
            source, stream = stream, exits.enter_context(_nameless(near))
            _fill(stream, source, lambda head: None if form(head) else check(head))
        head = os.pread(stream.fileno(), _BLOCK, 0)
        if packed := form(head):
            stream = exits.enter_context(_unpacked(stream, packed, near, check))
        else:
            check(head)
        yield stream


@contextmanager
def _unpacked(stream: BinaryIO, packed: str, near: Path, check: Check) -> Iterator[BinaryIO]:
    def inside(head: bytes) -> None:
        if again := form(head):
            raise _by_hand(f"{packed}, and {again} in it")
        check(head)

    if packed not in _UNPACK:
        raise _by_hand(packed)
    with _nameless(near) as file:
        try:
            stream.seek(0)
            _fill(file, _UNPACK[packed](stream), inside)
        except _BROKEN as error:
            words = f"the {packed} around it is damaged: {' '.join(str(error).split())}"
            raise KleidiError(faults.SNAPSHOT_INVALID, words) from error
        yield file


def _fill(file: BinaryIO, source: IO[bytes], check: Check) -> None:
    room, size, block = _room(file), 0, source.read(_BLOCK)
    check(block)
    while block:
        size += len(block)
        if size > min(_MOST, room // 2):
            # Beside a snapshot there is often etcd itself, which needs what is left.
            raise _by_hand(f"more than {_MOST >> 30} GiB, or than half of the {room >> 20} MiB that are free")
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            raise _by_hand(f"after {size >> 20} MiB: {error.strerror}") from error
        block = source.read(_BLOCK)


@contextmanager
def _nameless(near: Path) -> Iterator[BinaryIO]:
    """A file that nobody else can open, and that is gone with this process, however it ends."""
    with ExitStack() as exits:
        for place in (near, None):
            try:
                file = exits.enter_context(tempfile.TemporaryFile(dir=place))
            except OSError:
                continue
            yield cast("BinaryIO", file)
            return
        raise _by_hand("there is no directory to unpack it in")


def _room(file: BinaryIO) -> int:
    disk = os.statvfs(file.fileno())
    return disk.f_bavail * disk.f_frsize


def _zip(stream: BinaryIO) -> IO[bytes]:
    archive = zipfile.ZipFile(cast("BinaryIO", _Sips(stream)))
    files = [each for each in archive.infolist() if not each.is_dir()]
    if len(files) != 1:
        raise _by_hand(f"zip with {len(files)} files")
    (only,) = files
    if only.flag_bits & 1 or only.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _by_hand("zip, encrypted or compressed in a rare way")
    return archive.open(only)


class _Sips:
    """A file of which nobody takes much at once: zipfile would read a list of files of any length."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if 0 <= size <= _BLOCK else _BLOCK + 1)
        if len(data) > _BLOCK:
            raise _by_hand("zip with a great many files")
        return data


class _Xz(io.RawIOBase):
    """lzma.LZMAFile knows no bound of memory, and a file says how much it wants."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._engine = lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data and not self._engine.eof:
            more = self._stream.read(_BLOCK) if self._engine.needs_input else b""
            if self._engine.needs_input and not more:
                raise EOFError("it is cut off")
            data = self._engine.decompress(more, len(buffer))
        if not data and (self._engine.unused_data + self._stream.read(_BLOCK)).strip(b"\0"):
            raise _by_hand("xz in several pieces")
        buffer[: len(data)] = data
        return len(data)


_UNPACK: dict[str, Callable[[BinaryIO], IO[bytes]]] = {
    "zip": _zip,
    "gzip": lambda stream: cast("IO[bytes]", gzip.GzipFile(fileobj=stream)),
    "bzip2": lambda stream: cast("IO[bytes]", bz2.BZ2File(stream)),
    "xz": lambda stream: io.BufferedReader(_Xz(stream), _BLOCK),
}


def _by_hand(detail: str) -> KleidiError:
    return KleidiError(faults.SNAPSHOT_PACKED, detail)
