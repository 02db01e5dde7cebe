"""At a terminal: nothing binary reaches it, an interrupt is one, and what cannot be undone is asked for."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from appliance.faults import Exit
from tests.ops.shop import Node
from tests.rig import BIN

INTERRUPT = b"\x03"
SECONDS = 30


def at_terminal(node: Node, *arguments: str, keys: bytes = b"", after: bytes = b"\xff") -> tuple[int, str]:
    """The exit code and what was shown; *keys* are typed when *after* has been."""
    pid, terminal = pty.fork()
    if pid == 0:
        # Tests that run in the background of a shell have it ignored, and so would what they start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(BIN / "kleidi", ["kleidi", *arguments], {**node.environment, "TERM": "xterm"})  # noqa: S606
    shown, deadline = b"", time.monotonic() + SECONDS
    with contextlib.suppress(OSError):  # its other end is closed
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            shown += os.read(terminal, 4096)
            if after in shown and keys:
                time.sleep(0.3)  # what is typed before a prompt has turned the echo off is thrown away
                os.write(terminal, keys)
                keys = b""
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "create", "-", "--to", "age1nobody"),
        ("node", "export", "--to", "age1nobody"),
        ("node", "join", "-"),
    ],
    ids=" ".join,
)
def test_a_bundle_is_neither_shown_nor_typed(node: Node, arguments: tuple[str, ...]) -> None:
    code, shown = at_terminal(node, *arguments)
    assert code == Exit.USAGE
    assert shown.startswith("kleidi: E-COMMAND-LINE: ")
    assert "a bundle is binary" in shown


def test_an_interrupt_at_a_prompt_ends_as_everywhere(node: Node) -> None:
    code, shown = at_terminal(node, "backup", "create", "--passphrase", keys=INTERRUPT, after=b"Passphrase:")
    assert code == 130
    assert "Abort" not in shown
    assert "kleidi:" not in shown


def test_the_key_id_is_asked_for_before_a_key_is_destroyed(node: Node) -> None:
    node.kleidi("key", "rotate")
    node.kleidi("key", "disable", "v1", "--stored", "0")
    listed = node.kleidi("key", "list").stdout
    (key_id,) = re.findall(r"kleidi/\S+/v1/\S+", listed)
    for typed, code in (("v1", Exit.REFUSED), (key_id, Exit.OK)):
        ended, shown = at_terminal(
            node, "key", "destroy", "v1", "--stored", "0", keys=typed.encode() + b"\n", after=b"for ever:"
        )
        assert ended == code, shown
    assert "destroyed" in node.kleidi("key", "list").stdout


def test_watching_is_for_people(node: Node) -> None:
    done = node.kleidi("status", "--watch")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    code, shown = at_terminal(node, "status", "--watch", keys=INTERRUPT, after=b"Ctrl-C ends")
    assert code == 130
    assert "STOPPED" in shown


def test_whoever_waits_at_a_terminal_is_told_what_for(node: Node) -> None:
    code, shown = at_terminal(node, "status", "--wait", "3")
    assert code == Exit.UNREACHABLE
    assert "waiting, at most 3 s: STOPPED, E-SERVER-UNREACHABLE" in shown
    piped = subprocess.run(
        [BIN / "kleidi", "status", "--wait", "3"],
        env=node.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert piped.stderr == ""
