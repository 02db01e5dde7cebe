"""A disk that cannot list a directory of ours is told of in one line, whatever the verb."""

import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.age.key_pairs import Identities
from tests.ops.ready import Prepare, Try, prepare
from tests.ops.shop import Node
from tests.volume.traced import STEADY, require_strace

__all__ = ["prepare"]


def listing(node: Node, command: tuple[str, ...], *options: str) -> tuple[int, str, int]:
    """How *command* ended, what it said, and how often it read from a directory that lasts."""
    output = node.root / "strace"
    tracer = ("strace", "-f", "-qq", "-o", str(output), "-e", "trace=getdents64", *options)
    places = ("-P", str(node.volume), "-P", str(node.etc))
    ended = node.run(*tracer, *places, *STEADY, *command)
    return ended.returncode, ended.stderr, len(output.read_text().splitlines())


def staging(prepare: Prepare, _tmp_path: Path) -> Try:
    return Try(prepare("stage").node, ("key", "stage", "--dry-run"), (), ())


def destroying(prepare: Prepare, _tmp_path: Path) -> Try:
    return prepare("destroy")


def removing(prepare: Prepare, tmp_path: Path) -> Try:
    node = prepare("stage").node
    added = node.kleidi("slot", "add", "--kind", "file", "--name", "b", "--key-file", str(tmp_path / "b.key"))
    assert added.returncode == 0, added.stderr
    return Try(node, ("slot", "remove", "b"), (), ())


def restoring(prepare: Prepare, tmp_path: Path) -> Try:
    node, identity = prepare("stage").node, Identities.generate()
    (tmp_path / "identity").write_text(identity.secrets[0])
    bundle = str(tmp_path / "bundle.age")
    made = node.kleidi("backup", "create", bundle, "--to", identity.recipients.names[0])
    assert made.returncode == 0, made.stderr
    for path in node.volume.iterdir():
        path.unlink()
    return Try(node, ("backup", "restore", bundle, "--identity", str(tmp_path / "identity")), (), ())


@pytest.mark.parametrize("ready", [staging, destroying, removing, restoring])
def test_an_error_of_the_disk_while_it_lists_is_one_line(
    prepare: Prepare, memory_dir: Path, tmp_path: Path, ready: Callable[[Prepare, Path], Try]
) -> None:
    require_strace()
    attempt = ready(prepare, tmp_path)
    code, said, reads = listing(attempt.copied("plain", memory_dir).node, attempt.command)
    assert (code, reads > 3) == (0, True), said
    codes = set()
    # Two reads for each directory: what it holds, and that this was all.
    for number in range(1, reads + 1, 2):
        own = attempt.copied(f"{number}-{secrets.token_hex(2)}", memory_dir)
        code, said, _ = listing(own.node, attempt.command, "-e", f"inject=getdents64:error=EIO:when={number}")
        assert code == 0 or re.fullmatch(r"kleidi: E-[A-Z-]+: .*Input/output error.*\n", said), said
        assert code not in (1, 2), said
        codes.add(code)
    assert codes != {0}
