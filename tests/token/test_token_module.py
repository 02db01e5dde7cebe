"""What stands where the module should be: each is named for what it is, and nothing of it runs or hangs."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from softhsm import Library, ModuleMissingError, ModuleUnusableError

MACHINE = 18  # where elf(5) has it
AARCH64, X86_64 = 183, 62
OTHERS = "opensc-pkcs11.so"


@pytest.fixture
def real(library: Library) -> bytes:
    return library.module.read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "libsofthsm2.so"


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is printed: a loader's own lines would stand between those of a log or an answer."""
    yield
    assert capfd.readouterr() == ("", "")


def complaint(path: Path, tokens: Path) -> str:
    with pytest.raises(ModuleUnusableError) as caught:
        Library.find(path).load(tokens)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.usefixtures("quiet")
def test_a_module_that_is_not_there_is_missing(place: Path, tokens: Path) -> None:
    for dangling in (False, True):
        if dangling:
            place.symlink_to("nowhere")
        with pytest.raises(ModuleMissingError, match="is not there") as caught:
            Library.find(place).load(tokens)
        assert not isinstance(caught.value, ModuleUnusableError)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b"not a library.\n"), "not a library"),
        (
            lambda path: path.write_bytes(b"not a library, and longer than a header has bytes" * 9),
            "not a library",
        ),
        (lambda path: path.touch(), "not a library"),
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
    ids=["short", "text", "empty", "directory", "fifo", "device", "circle"],
)
def test_what_is_no_library_is_unusable(
    make: Callable[[Path], None], why: str, place: Path, tokens: Path
) -> None:
    make(place)
    assert why in complaint(place, tokens)


@pytest.mark.usefixtures("quiet")
def test_a_module_for_another_machine_is_unusable(place: Path, tokens: Path, real: bytes) -> None:
    (ours,) = struct.unpack_from("<H", real, MACHINE)
    other = X86_64 if ours == AARCH64 else AARCH64
    place.write_bytes(real[:MACHINE] + struct.pack("<H", other) + real[MACHINE + 2 :])
    assert f"for another machine: ELF class 2, machine {other}" in complaint(place, tokens)
    place.write_bytes(real[:4] + b"\x01" + real[5:])
    assert "for another machine: ELF class 1" in complaint(place, tokens)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kept", [64, 1000, 0.5, 0.9])
def test_a_half_copied_module_is_unusable(kept: float, place: Path, tokens: Path, real: bytes) -> None:
    """Mapped all the same, it would end this process with SIGBUS."""
    place.write_bytes(real[: int(kept if kept > 1 else len(real) * kept)])
    assert str(place) in complaint(place, tokens)


@pytest.mark.usefixtures("quiet")
def test_a_module_that_needs_another_libc_is_unusable(place: Path, tokens: Path, real: bytes) -> None:
    assert real.count(b"\0libc.so.6\0") == 1
    place.write_bytes(real.replace(b"\0libc.so.6\0", b"\0libc.so.1\0"))
    assert "libc.so.1: cannot open shared object file" in complaint(place, tokens)


@pytest.mark.usefixtures("quiet")
def test_a_library_that_is_no_pkcs11_module_is_unusable(tokens: Path) -> None:
    maps = Path("/proc/self/maps").read_text().splitlines()
    libc = next(path for line in maps if "/libc.so.6" in (path := line.split()[-1]))
    assert "C_GetFunctionList" in complaint(Path(libc), tokens)


def test_a_module_of_another_maker_is_unusable(tokens: Path) -> None:
    found = next((path for path in Path("/usr/lib").glob(f"*/{OTHERS}") if not path.is_symlink()), None)
    if found is None:
        if "CI" in os.environ:
            raise FileNotFoundError(OTHERS)
        pytest.skip("OpenSC is not installed")
    assert "OpenSC Project's module, not SoftHSM's" in complaint(found, tokens)


def test_a_module_is_taken_as_soon_as_it_is_the_right_one(place: Path, tokens: Path, real: bytes) -> None:
    place.write_bytes(b"not a library.\n")
    complaint(place, tokens)
    place.write_bytes(real)
    library = Library.find(place)
    library.load(tokens)
    assert library.tokens() == []
    library.unload()


def test_looking_at_it_leaves_nothing_mapped(library: Library, tokens: Path) -> None:
    library.load(tokens)
    library.unload()
    before = Path("/proc/self/maps").read_text().count(library.module.name)
    for _ in range(3):
        library.load(tokens)
        library.unload()
    assert Path("/proc/self/maps").read_text().count(library.module.name) == before
