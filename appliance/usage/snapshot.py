"""Everything under a prefix of an etcd snapshot, offline: the file is a bbolt database.

Pages are read by go.etcd.io/bbolt's own layout (page.go, bucket.go); what etcd keeps in them is in
server/storage/mvcc (revision.go, kvstore.go): bucket `key`, from revision to KeyValue.
"""

import hashlib
import mmap
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import DecodeError

from appliance import faults, given, regular
from appliance.faults import KleidiError
from appliance.usage import packed
from appliance.usage import path as paths
from proto.etcd.kv_pb2 import KeyValue

_MAGIC, _VERSION = 0xED0CDAED, 2
_PAGE = struct.Struct("<QHHI")  # number, flags, count, overflow
_META = struct.Struct(
    "<IIIIQQQQQQ"
)  # magic, version, page size, flags, root, sequence, freelist, end, txid, sum
_LEAF = struct.Struct("<IIII")  # flags, offset, key size, value size
_BRANCH = struct.Struct("<IIQ")  # offset, key size, page
_BUCKET = struct.Struct("<QQ")  # root page, sequence
_BRANCH_FLAG, _LEAF_FLAG = 1, 2
_IS_BUCKET = 1
_DEEPEST = 32
_REVISION = struct.Struct(">QcQ")  # main, "_", sub; a tombstone has a "t" behind
_WAL = bytes([4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4])  # its first record: a length with padding, the type crc
_DIGEST = 32  # `etcdctl snapshot save` appends the SHA-256 of all before


class _Page(NamedTuple):
    flags: int
    entries: int
    start: int


class Snapshot:
    """a source for usage.counting. Every revision is read; the last one of each key is what counts."""

    def __init__(self, data: "mmap.mmap | bytes", prefix: str) -> None:
        self._data = data
        self._prefix = prefix
        self._size, self._root = _newest_meta(data)
        self.revision = 0
        self.total = 0

    @classmethod
    @contextmanager
    def open(cls, name: str | Path, prefix: str) -> Iterator["Snapshot"]:
        """A file, a pipe or -, packed or not. Raises E-INPUT-UNREADABLE and E-SNAPSHOT-…."""
        with ExitStack() as exits:
            stream = exits.enter_context(given.opened(name))
            try:
                file = exits.enter_context(packed.plain(stream, Path(name), _recognise))
                data = exits.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                snapshot = cls(data, prefix)
            except (OSError, ValueError) as error:
                raise KleidiError(faults.INPUT_UNREADABLE, f"{name}: {regular.words(error)}") from error
            yield snapshot

    def objects(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            newest = self._newest()
            self.total = len(newest)
            for key, (start, end) in sorted(newest.items()):
                yield key, KeyValue.FromString(self._data[start:end]).value
        except (struct.error, IndexError, DecodeError, RecursionError) as error:
            raise _invalid(str(error)) from error

    def _newest(self) -> dict[bytes, tuple[int, int]]:
        """Where the last revision of each living key under the prefix lies."""
        under = paths.directory(self._prefix)
        found: dict[bytes, tuple[int, int]] = {}
        before = b""
        for revision, start, end, _ in self._leaves(self._bucket(b"key")):
            main, underscore, _ = _REVISION.unpack_from(revision)
            if underscore != b"_" or revision <= before:
                raise _invalid("revisions out of order")
            before, self.revision = revision, main
            key = KeyValue.FromString(self._data[start:end]).key
            if not key.startswith(under):
                continue
            if len(revision) > _REVISION.size:
                found.pop(key, None)
            else:
                found[key] = start, end
        return found

    def _bucket(self, name: bytes) -> _Page:
        for key, start, end, is_bucket in self._leaves(self._page(self._root)):
            if key == name and is_bucket:
                root, _ = _BUCKET.unpack_from(self._data, start)
                # A small bucket's only page lies in the value itself.
                return self._page(root) if root else self._page_at(start + _BUCKET.size, end)
        raise _invalid(f"there is no bucket {name.decode()}")

    def _leaves(self, page: _Page, depth: int = 0) -> Iterator[tuple[bytes, int, int, bool]]:
        """Each entry below *page*, in order: key, where its value starts and ends, whether it is a bucket."""
        if depth > _DEEPEST:
            raise _invalid("a tree that never ends")
        if page.flags & _LEAF_FLAG:
            for number in range(page.entries):
                at = page.start + number * _LEAF.size
                flags, offset, key_size, value_size = _LEAF.unpack_from(self._data, at)
                start = at + offset + key_size
                if start + value_size > len(self._data):
                    raise _invalid("it is cut off")
                yield self._data[at + offset : start], start, start + value_size, bool(flags & _IS_BUCKET)
        elif page.flags & _BRANCH_FLAG:
            for number in range(page.entries):
                _, _, child = _BRANCH.unpack_from(self._data, page.start + number * _BRANCH.size)
                yield from self._leaves(self._page(child), depth + 1)
        else:
            raise _invalid("a page that is neither branch nor leaf")

    def _page(self, number: int) -> _Page:
        at = number * self._size
        page = self._page_at(at, len(self._data))
        if _PAGE.unpack_from(self._data, at)[0] != number:
            raise _invalid(f"page {number} is not where it should be")
        return page

    def _page_at(self, at: int, end: int) -> _Page:
        if at + _PAGE.size > end:
            raise _invalid("it is cut off")
        _, flags, count, _ = _PAGE.unpack_from(self._data, at)
        return _Page(flags, count, at + _PAGE.size)


def _recognise(head: bytes) -> None:
    """Say what a file is that does not begin like a database, for some are taken for one."""
    if not head:
        raise _invalid("it is empty")
    if head.lstrip()[:1] == b"{":
        raise _invalid("it is JSON; `kleidi usage --from-etcdctl` counts what `etcdctl get` printed")
    if head.startswith(_WAL):
        raise _invalid("it is a write-ahead log; etcd's database is member/snap/db")
    if not any(_META.unpack_from(head, at + _PAGE.size)[0] == _MAGIC for at in _metas(head)):
        raise _invalid("it is no database of etcd's")


def _metas(data: "mmap.mmap | bytes") -> Iterator[int]:
    """Where a meta page may begin: the second lies a page behind, and how large a page is only they tell."""
    for at in (0, 4096, 8192, 16384, 32768, 65536):
        if at + _PAGE.size + _META.size <= len(data):
            yield at


def _newest_meta(data: "mmap.mmap | bytes") -> tuple[int, int]:
    """Page size and root page of whichever of the two meta pages is whole and newer."""
    _check_digest(data)
    found = []
    for at in _metas(data):
        place = at + _PAGE.size
        magic, version, size, _, root, _, _, _, txid, total = _META.unpack_from(data, place)
        whole = _fnv1a(data[place : place + _META.size - 8]) == total
        if magic == _MAGIC and version == _VERSION and whole and at in (0, size):
            found.append((txid, size, root))
    if not found:
        raise _invalid("no meta page is whole")
    _, size, root = max(found)
    return size, root


def _check_digest(data: "mmap.mmap | bytes") -> None:
    """A file copied from a stopped etcd's data directory has none; its size is whole pages."""
    if len(data) % 512 == 0:
        return
    digest = hashlib.sha256()
    end = len(data) - _DIGEST
    for start in range(0, max(0, end), 1 << 20):
        digest.update(data[start : min(start + (1 << 20), end)])
    if len(data) % 512 != _DIGEST or digest.digest() != data[end:]:
        raise _invalid("its closing hash does not fit")


def _fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _invalid(detail: str) -> KleidiError:
    return KleidiError(faults.SNAPSHOT_INVALID, detail)
