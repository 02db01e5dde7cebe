"""A node gets its keys before it has a server: the page's pipe, over SoftHSM."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import BIN, CHECKOUT, Appliance

PAGE = CHECKOUT / "docs/high-availability.md"
BLOCK = re.compile(r"^```sh[^\n]*\n(mkfifo .*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path / "one", slot="file", seal_key_file=str(tmp_path / "one/etc/seal.key")) as first:
        first.root.mkdir()
        first.start()
        first.wait_ready()
        yield first


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Appliance]:
    """Prepared, as `kleidi install --join` does it, and not started."""
    key = tmp_path / "two/etc/seal.key"
    with Appliance(tmp_path / "two", provision="join", slot="file", seal_key_file=str(key)) as second:
        for directory in (second.volume, key.parent, second.memory):
            directory.mkdir(mode=0o700, parents=True)
        key.write_bytes(os.urandom(32))
        key.chmod(0o400)
        yield second


def piped(tmp_path: Path, **nodes: Appliance) -> subprocess.CompletedProcess[str]:
    for name, node in nodes.items():
        script = tmp_path / f"bin/{name}"
        script.parent.mkdir(exist_ok=True)
        path = f"export PATH={BIN}:$PATH\n"
        exports = "".join(
            f"export {key}='{value}'\n" for key, value in node.environment.items() if "KLEIDI" in key
        )
        script.write_text(f'#!/bin/sh\n{exports}{path}exec "$@"\n')
        script.chmod(0o755)
    [block] = BLOCK.findall(PAGE.read_text())
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def operations(node: Appliance) -> list[str]:
    return [json.loads(line)["op"] for line in (node.volume / "audit.jsonl").read_text().splitlines()]


def files(node: Appliance) -> set[str]:
    return {path.name for path in node.volume.iterdir()}


def test_a_volume_without_a_server_gets_the_keys_and_a_server_serves_them_at_once(
    one: Appliance, two: Appliance, tmp_path: Path
) -> None:
    done = piped(tmp_path, one=one, two=two)
    assert done.returncode == 0, done.stderr
    assert "joined lineage" in done.stderr
    assert done.stdout == ""
    assert "node-export" in operations(one)
    assert operations(two).count("node-join") == 2  # before and after
    two.start()
    assert two.wait_ready() == one.status().key_id
    assert list(two.memory.glob("memory/join*")) == []


def test_newer_keys_come_the_same_way_and_so_they_do_while_a_server_runs(
    one: Appliance, two: Appliance, tmp_path: Path
) -> None:
    assert piped(tmp_path, one=one, two=two).returncode == 0
    assert one.run("key", "stage").returncode == 0
    done = piped(tmp_path, one=one, two=two)
    assert "v2" in done.stderr, done.stderr
    assert len(json.loads(two.run("key", "list", "-o", "json").stdout)["keys"]) == 2
    two.start()
    two.wait_ready()
    done = piped(tmp_path, one=one, two=two)
    assert "holds these keys" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"KLEIDI_PROVISION": "auto"}, "E-JOIN-AUTO"), ({"KLEIDI_VOLUME_DIR": "/none"}, "E-VOLUME-MISSING")],
)
def test_what_can_be_known_before_is_said_before_anybody_is_invited(
    two: Appliance, settings: dict[str, str], fault: str
) -> None:
    before = files(two)
    done = two.run("node", "join", "--invite", "-", env=settings)
    assert (done.stdout, done.stderr[: len(f"kleidi: {fault}:")]) == ("", f"kleidi: {fault}:")
    assert files(two) == before


def test_a_bundle_for_somebody_else_is_refused_and_the_volume_stays_empty(
    one: Appliance, two: Appliance, tmp_path: Path
) -> None:
    recipient = one.run("node", "invite").stdout.strip()
    bundle = tmp_path / "bundle.age"
    assert one.run("node", "export", "--to", recipient, str(bundle)).returncode == 0
    done = two.run("node", "join", "--invite", str(bundle))
    assert done.stderr.startswith("kleidi: E-INVITATION-FOREIGN: ")
    assert not list(two.volume.glob("generation-*"))


def test_beside_a_server_that_is_not_found_nothing_is_begun(one: Appliance, tmp_path: Path) -> None:
    settings = {"KLEIDI_ADMIN_SOCKET": str(tmp_path / "admin.sock"), "KLEIDI_PROVISION": "join"}
    done = one.run("node", "join", "--invite", "-", env=settings)
    assert done.stdout == ""
    assert done.stderr.startswith("kleidi: E-SERVER-ELSEWHERE: ")
