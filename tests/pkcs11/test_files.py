"""The module and the PIN as files: what is wrong with them is told before they can do harm."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.pkcs11.engine import Pkcs11Engine
from appliance.faults import Fault
from appliance.keys.engine import AwayError, EngineState
from appliance.pkcs11.options import Pkcs11Options
from appliance.pkcs11.pin_file import PinFile
from softhsm.pkcs11 import trial
from softhsm.pkcs11.errors import AwayError as NoAnswerError
from softhsm.pkcs11.errors import CrashedError, PinError
from softhsm.pkcs11.token import Wanted
from tests.pkcs11 import places

CRASHES = """
#include <stddef.h>
unsigned long C_GetFunctionList(void **list) { *(volatile int *)NULL = 1; return 0; }
"""
EXITS = "#include <stdlib.h>\nunsigned long C_GetFunctionList(void **list) { exit(5); }\n"
HANGS = "#include <unistd.h>\nunsigned long C_GetFunctionList(void **list) { for (;;) pause(); }\n"
KILLED = """
#include <signal.h>
#include <unistd.h>
unsigned long C_GetFunctionList(void **list) { return kill(getpid(), SIGKILL); }
"""
EMPTY = "unsigned long something_else(void) { return 0; }\n"
REFUSES = "unsigned long C_GetFunctionList(void **list) { return 5; }\n"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Modules of a few lines of C."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    directory = tmp_path_factory.mktemp("built")

    def build(source: str) -> Path:
        path = directory / f"{abs(hash(source))}.so"
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
        subprocess.run(command, input=source.encode(), check=True, capture_output=True)
        path.chmod(0o755)
        return path

    return build


def refused(module: Path, directory: Path) -> tuple[Fault, str]:
    """What a call says of it, twice the same."""
    options = Pkcs11Options(
        module, "", "kms", places.pin_file(directory, "123456"), "", lanes=1, call_seconds=20.0
    )
    engine = Pkcs11Engine(options)
    engine.open(directory, EngineState())
    told = []
    for _ in range(2):
        with pytest.raises(AwayError) as caught:
            engine.wrap("00" * 16, b"plaintext", b"associated")
        told.append((caught.value.fault, caught.value.detail))
    engine.close()
    assert told[0] == told[1]
    return told[0]


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.so", tmp_path)[0] is faults.PKCS11_MODULE


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["directory", "fifo"])
def test_a_module_that_is_no_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "module.so")
    fault, detail = refused(tmp_path / "module.so", tmp_path)
    assert fault is faults.PKCS11_MODULE
    assert "not a regular file" in detail


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(100)])
def test_a_module_that_is_no_library(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_bytes(content)
    (tmp_path / "module.so").chmod(0o644)
    assert refused(tmp_path / "module.so", tmp_path)[0] is faults.PKCS11_MODULE


def test_a_module_that_is_cut_off_ends_no_process_but_the_one_that_tries_it(tmp_path: Path) -> None:
    whole = places.softhsm_module().read_bytes()
    (tmp_path / "module.so").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "module.so").chmod(0o644)
    fault, _ = refused(tmp_path / "module.so", tmp_path)
    assert fault in (faults.PKCS11_MODULE, faults.PKCS11_MODULE_CRASHED)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o777])
def test_a_module_that_others_can_write(mode: int, tmp_path: Path) -> None:
    module = Path(shutil.copy(places.softhsm_module(), tmp_path / "module.so"))
    module.chmod(mode)
    fault, detail = refused(module, tmp_path)
    assert fault is faults.PKCS11_MODULE
    assert "can be written by others" in detail


def test_a_module_in_a_directory_that_others_can_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    module = Path(shutil.copy(places.softhsm_module(), tmp_path / "open" / "module.so"))
    module.chmod(0o644)
    (tmp_path / "open").chmod(0o777)
    link = tmp_path / "module.so"
    link.symlink_to(module)
    assert refused(link, tmp_path)[0] is faults.PKCS11_MODULE


@pytest.mark.parametrize(("source", "words"), [(EMPTY, "no C_GetFunctionList"), (REFUSES, "no functions")])
def test_a_library_that_is_no_module(
    source: str, words: str, built: Callable[[str], Path], tmp_path: Path
) -> None:
    fault, detail = refused(built(source), tmp_path)
    assert fault is faults.PKCS11_MODULE
    assert words in detail


@pytest.mark.parametrize(("source", "words"), [(CRASHES, "SIGSEGV"), (EXITS, "exit code 5")])
def test_a_module_that_ends_its_process_is_never_loaded_here(
    source: str, words: str, built: Callable[[str], Path], tmp_path: Path
) -> None:
    module = built(source)
    fault, detail = refused(module, tmp_path)
    assert fault is faults.PKCS11_MODULE_CRASHED
    assert words in detail
    assert str(module) not in Path("/proc/self/maps").read_text()


def test_a_crash_is_known_and_not_tried_again(
    built: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = built(CRASHES)
    assert refused(module, tmp_path)[0] is faults.PKCS11_MODULE_CRASHED
    monkeypatch.delattr(trial, "demand")
    (tmp_path / "again").mkdir()
    assert refused(module, tmp_path / "again")[0] is faults.PKCS11_MODULE_CRASHED


def test_a_module_that_hangs_is_given_up(built: Callable[[str], Path]) -> None:
    with pytest.raises(NoAnswerError, match="did not answer"):
        trial.demand(built(HANGS), "", Wanted(label="kms"), seconds=1)


def test_a_process_that_was_killed_says_nothing_of_the_module(built: Callable[[str], Path]) -> None:
    """As when memory runs out; a crash is kept in mind for ever, this is not."""
    with pytest.raises(NoAnswerError, match="SIGKILL"):
        trial.demand(built(KILLED), "", Wanted(label="kms"))


def test_a_trial_tells_a_crash_from_a_token_that_is_not_there(real: places.Place) -> None:
    assert real.options is not None
    trial.demand(real.options.module, real.options.parameters, Wanted(label="another"))


def test_a_trial_knows_no_pin_and_leaves_no_trace(built: Callable[[str], Path]) -> None:
    with pytest.raises(CrashedError):
        trial.demand(built(CRASHES), "", Wanted())


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_pin_is_one_line(end: str, tmp_path: Path) -> None:
    (tmp_path / "pin").write_bytes(f"12 34 {end}".encode())
    (tmp_path / "pin").chmod(0o400)
    assert PinFile(tmp_path / "pin").read() == b"12 34 "


@pytest.mark.parametrize("content", [b"", b"\n", b"1234\n\n", b"1234\n5678\n", b"12\0", bytes(2000)])
def test_what_is_no_pin_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pin").write_bytes(content)
    (tmp_path / "pin").chmod(0o600)
    with pytest.raises(PinError) as caught:
        PinFile(tmp_path / "pin").read()
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o440, 0o444, 0o620, 0o604])
def test_a_pin_that_others_can_read_is_not_taken(mode: int, tmp_path: Path) -> None:
    path = places.pin_file(tmp_path, "123456")
    path.chmod(mode)
    with pytest.raises(PinError, match="others"):
        PinFile(path).read()


def test_a_pin_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(PinError, match="No such file"):
        PinFile(tmp_path / "pin").read()
    os.mkfifo(tmp_path / "pin", 0o600)
    with pytest.raises(PinError, match="not a regular file"):
        PinFile(tmp_path / "pin").read()


def test_another_pin_is_noticed(tmp_path: Path) -> None:
    path = places.pin_file(tmp_path, "123456")
    pin = PinFile(path)
    before = pin.mark()
    assert pin.mark() == before
    os.utime(path)
    assert pin.mark() != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_who_only_passes_the_options_on_loads_nothing() -> None:
    code = (
        "import sys\n"
        "import appliance.pkcs11.options\n"
        "import appliance.settings\n"
        "print(sorted({'PyKCS11', 'softhsm'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
