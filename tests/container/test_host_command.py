"""`kleidi` on the machine itself, with the real podman: the node's command, and the one of `make up`."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.manifests import command
from tests.container.engine import Engine
from tests.container.pod import IMAGE, Pod
from tests.reference import CHECKOUT


def run(engine: Engine, *arguments: object, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, arguments)),
        env={**engine.settings, **more},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_it_runs_kleidi_in_the_container_that_runs(pod: Pod, tmp_path: Path) -> None:
    path = tmp_path / "kleidi"
    path.write_text(command.text().replace("\nname=kleidi\n", f"\nname={pod.container}\n"))
    path.chmod(0o755)
    none = run(pod.engine, path, "status")
    assert none.returncode == faults.CONTAINER_NONE.exit, none.stderr
    assert none.stderr.startswith("kleidi: E-CONTAINER-NONE: ")
    pod.start()
    key_id = pod.wait_ready()
    assert key_id in run(pod.engine, path, "status").stdout
    checked = run(pod.engine, path, "key", "check", "v1", "--usage", "-", stdin="no count")
    assert checked.returncode == faults.USAGE_INVALID.exit
    assert checked.stderr.startswith("kleidi: E-USAGE-INVALID: ")


@pytest.fixture
def up(engine: Engine, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def make(name: str, checkout: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
        script = checkout / "container/up"
        return run(engine, script, NAME=name, IMAGE=IMAGE, RUN_DIR=str(tmp_path / "run"), PODMAN="podman")

    return make


def test_what_is_brought_up_has_a_command_of_its_own(
    engine: Engine, up: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    name = f"kleidi-{secrets.token_hex(3)}"
    done = up(name)
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / f"run/podman/{name}"
    assert f"{path} status" in done.stdout
    assert os.access(path, os.X_OK)
    assert run(engine, path, "status").stdout.startswith("state       OPERATIONAL")
    engine.run("rm", "--force", "--time", "0", name)
    assert run(engine, path, "status").returncode == faults.CONTAINER_NONE.exit


def test_another_clones_container_is_not_replaced(
    engine: Engine, up: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    name = f"kleidi-{secrets.token_hex(3)}"
    other = tmp_path / "clone"
    shutil.copytree(CHECKOUT / "container", other / "container")
    try:
        assert up(name, other).returncode == 0
        before = engine.run("container", "inspect", "--format", "{{.Id}}", name)
        refused = up(name)
        assert (refused.returncode, refused.stdout) == (5, "")
        assert str(other) in refused.stderr
        assert engine.run("container", "inspect", "--format", "{{.Id}}", name) == before
        assert up(name, other).returncode == 0  # its own is
    finally:
        engine.run("rm", "--force", "--time", "0", "--ignore", name)
