"""A snapshot that somebody packed, or that comes through a pipe; and what is taken for one."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import resource
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.usage import packed
from appliance.usage.counting import count
from appliance.usage.snapshot import Snapshot

HERE = Path(__file__).parent
WHOLE = gzip.decompress((HERE / "snapshot.db.gz").read_bytes())
OBJECTS = 143


def zipped(*entries: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """As k3s does it: one entry, named after the snapshot."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", how) as archive:
        for number, entry in enumerate(entries):
            archive.writestr(f"etcd-snapshot-node-170000000{number}", entry)
    return target.getvalue()


def tarred(entry: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("snapshot.db")
        info.size = len(entry)
        archive.addfile(info, io.BytesIO(entry))
    return target.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "zip": zipped,
    "stored": lambda data: zipped(data, how=zipfile.ZIP_STORED),
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


def counted(file: Path) -> int:
    with Snapshot.open(file, "/registry") as source:
        return count(source, "/registry").objects


def refused(file: Path, fault: Fault) -> str:
    with pytest.raises(KleidiError) as caught:
        counted(file)
    assert caught.value.fault is fault
    return caught.value.detail


def through_a_pipe(fifo: Path, data: bytes) -> threading.Thread:
    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            fifo.write_bytes(data)

    os.mkfifo(fifo)
    writer = threading.Thread(target=write)
    writer.start()
    return writer


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_packed_snapshot_is_read_and_nothing_is_left_beside_it(
    file: Path, pack: Callable[[bytes], bytes]
) -> None:
    file.write_bytes(pack(WHOLE))
    assert counted(file) == OBJECTS
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("pack", [bytes, zipped], ids=["plain", "zip"])
def test_a_snapshot_comes_through_a_pipe_too(file: Path, pack: Callable[[bytes], bytes]) -> None:
    writer = through_a_pipe(file, pack(WHOLE))
    assert counted(file) == OBJECTS
    writer.join()


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(60), "zstd"),
        (b"\x04\x22\x4d\x18" + bytes(60), "lz4"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(60), "7z"),
        (tarred(WHOLE), "tar"),
        (gzip.compress(tarred(WHOLE)), "gzip, and tar in it"),
        (gzip.compress(gzip.compress(WHOLE)), "gzip, and gzip in it"),
        (zipped(WHOLE, WHOLE), "zip with 2 files"),
        (zipped(WHOLE, how=zipfile.ZIP_LZMA), "rare way"),
        (zipped(*[b""] * 20_000), "zip with"),
        (lzma.compress(WHOLE) * 2, "several pieces"),
    ],
    ids=["zstd", "lz4", "7z", "tar", "tar.gz", "gz.gz", "two", "lzma", "many", "xz.xz"],
)
def test_what_is_not_unpacked_here_says_that_it_is_packed(file: Path, data: bytes, form: str) -> None:
    file.write_bytes(data)
    assert form in refused(file, faults.SNAPSHOT_PACKED)
    assert "Unpack it" in faults.SNAPSHOT_PACKED.remedy


def test_an_encrypted_zip_is_for_its_owner_to_open(file: Path) -> None:
    data = bytearray(zipped(WHOLE))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    assert "encrypted" in refused(file, faults.SNAPSHOT_PACKED)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"once upon a time", "no database"),
        (bytes(100_000), "no database"),
        ((HERE / "prefix.json").read_bytes(), "it is JSON"),
        (bytes([4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4, 16, 0, 0, 0, 0, 0]), "write-ahead log"),
        (zipped(b"once upon a time"), "no database"),
        (zipped(b""), "it is empty"),
        (gzip.compress(bytes(1 << 26)), "no database"),
    ],
    ids=["empty", "text", "zeros", "json", "wal", "zipped-text", "zipped-nothing", "bomb"],
)
def test_what_is_taken_for_a_snapshot_is_told_for_what_it_is(file: Path, data: bytes, words: str) -> None:
    file.write_bytes(data)
    assert words in refused(file, faults.SNAPSHOT_INVALID)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_half_a_packed_snapshot_is_no_snapshot(file: Path, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(WHOLE)
    for size in (len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert refused(file, faults.SNAPSHOT_INVALID)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_changed_byte_of_a_packed_snapshot_is_a_fault_or_changes_nothing(
    file: Path, pack: Callable[[bytes], bytes]
) -> None:
    whole, draw = pack(WHOLE), random.Random(8)  # noqa: S311  not for keys
    for _ in range(100):
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(changed)
        try:
            assert counted(file) == OBJECTS
        except KleidiError as error:
            assert error.fault in (faults.SNAPSHOT_INVALID, faults.SNAPSHOT_PACKED)  # noqa: PT017


def test_what_is_not_there_says_so(file: Path, tmp_path: Path) -> None:
    assert "No such file" in refused(file, faults.INPUT_UNREADABLE)
    assert "directory" in refused(tmp_path, faults.INPUT_UNREADABLE)


def test_a_pipe_that_never_ends_is_read_no_further(file: Path) -> None:
    writer = through_a_pipe(file, bytes(1 << 26))
    assert "no database" in refused(file, faults.SNAPSHOT_INVALID)
    writer.join()


@pytest.mark.parametrize("bound", ["_MOST", "_room"])
def test_more_than_there_is_room_for_is_unpacked_by_somebody_else(
    file: Path, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(zipped(WHOLE + bytes(2 << 20)))
    monkeypatch.setattr(packed, bound, 1 << 20 if bound == "_MOST" else lambda _: 2 << 20)
    assert "more than" in refused(file, faults.SNAPSHOT_PACKED)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_leaves_the_unpacking_to_somebody_else(
    file: Path, request: pytest.FixtureRequest
) -> None:
    file.write_bytes(zipped(WHOLE))
    request.getfixturevalue("small_files")
    assert "too large" in refused(file, faults.SNAPSHOT_PACKED)
