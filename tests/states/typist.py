"""Somebody at a terminal: one process that runs commands of kleidi, one after the other, as one user.

`python -m tests.states.typist UID` reads a line of JSON for each: its arguments, and settings that differ.
One process for many commands, because each of its own would spend half a second on imports.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SETTING = "KLEIDI_"


@dataclass(frozen=True)
class Screen:
    """What a command printed, and how it ended."""

    exit: int
    out: str
    err: str


class Typist:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def hired(cls, uid: int) -> Iterator["Typist"]:
        command = [sys.executable, "-m", "tests.states.typist", str(uid)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True) as process:
            yield cls(process)
            assert process.stdin
            process.stdin.close()  # the end of its work

    def type(self, arguments: tuple[str, ...], settings: Mapping[str, str]) -> Screen:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([arguments, settings]), file=self._process.stdin, flush=True)
        return Screen(*json.loads(self._process.stdout.readline()))


def run(arguments: list[str], settings: dict[str, str]) -> Screen:
    from appliance.cli import main  # noqa: PLC0415  by the user who may read it

    for name in [name for name in os.environ if name.startswith(SETTING)]:
        del os.environ[name]
    os.environ.update(settings)
    sys.argv = ["kleidi", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Screen(code, out.getvalue(), err.getvalue())


def become(uid: int) -> None:
    """Go over to *uid*, with every module there that a command imports: he may not read the checkout."""
    nowhere = {f"{SETTING}{name}": f"/nonexistent/{name}" for name in ("VOLUME_DIR", "ADMIN_SOCKET")}
    for command in (["status"], ["key", "list"]):
        run(command, nowhere)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


if __name__ == "__main__":
    if int(sys.argv[1]) != os.geteuid():
        become(int(sys.argv[1]))
    answers = sys.stdout
    for line in sys.stdin:
        screen = run(*json.loads(line))
        print(json.dumps([screen.exit, screen.out, screen.err]), file=answers, flush=True)
