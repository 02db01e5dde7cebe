"""Whatever process gets a secret, nobody of the same user can look into it, from before it gets it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.secrecy.neighbour import humble, seen
from tests.volume.house import CHECKOUT

PROGRAMS = [
    path.stem for path in sorted((CHECKOUT / "softhsm").glob("*.py")) if "__main__" in path.read_text()
]


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """It runs, and its standard input stays open."""
    pipe = subprocess.PIPE
    with subprocess.Popen(humble(*command), cwd=CHECKOUT, stdin=pipe, stdout=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


def greeting(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.read(1)


def test_a_neighbour_sees_everything_of_a_process_that_does_nothing_about_it() -> None:
    idle = "print(flush=True); input()"
    with started(sys.executable, "-c", idle) as process:
        assert greeting(process) == b"\n"
        assert seen(process.pid) == ["mem", "environ", "maps", "auxv", "fd/0"]


def test_there_are_programs() -> None:
    assert {"forge", "survey", "trial"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_token_room_is_closed_before_it_is_told_anything(program: str) -> None:
    with started(sys.executable, "-I", "-m", f"softhsm.{program}") as process:
        assert greeting(process) == b"\n"
        assert seen(process.pid) == []
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_who_imports_the_token_room_is_closed_by_that() -> None:
    code = "import softhsm; print(flush=True); input()"
    with started(sys.executable, "-c", code) as process:
        assert greeting(process) == b"\n"
        assert seen(process.pid) == []


def test_a_command_is_closed_before_the_rest_of_it_is_imported() -> None:
    code = (
        "import sys\n"
        "class Late:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'appliance.cli':\n"
        "            print(flush=True)\n"
        "            input()\n"
        "sys.meta_path.insert(0, Late())\n"
        "import appliance.__main__"
    )
    with started(sys.executable, "-c", code) as process:
        assert greeting(process) == b"\n"
        assert seen(process.pid) == []
