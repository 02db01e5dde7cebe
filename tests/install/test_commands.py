"""The three commands as an operator types them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.rig import BIN

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")


def kleidi(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "kleidi"), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


@needs_root
def test_an_installation_says_what_it_does_and_what_is_left_to_do(tmp_path: Path) -> None:
    (tmp_path / "etc/kubernetes").mkdir(parents=True)
    done = kleidi("install", "--first", "--root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  --encryption-provider-config=/etc/kubernetes/kleidi/encryption-config.yaml\n" in done.stdout
    assert "  --encryption-provider-config-automatic-reload=true\n" in done.stdout
    again = kleidi("install", "--first", "--root", tmp_path)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


def test_a_dry_run_shows_everything_and_does_nothing(tmp_path: Path) -> None:
    done = kleidi("install", "--join", "--root", tmp_path, "--distribution", "rke2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would do: seal key" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_who_does_not_say_which_node_it_is_gets_nothing(tmp_path: Path) -> None:
    done = kleidi("install", "--root", tmp_path)
    assert done.returncode == 2
    assert "--first or --join" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", [("install", "--first", "--distribution", "kubeadm"), ("uninstall",)])
def test_a_root_that_is_not_there_is_a_slip_and_made_by_nobody(tmp_path: Path, verb: tuple[str, ...]) -> None:
    done = kleidi(*verb, "--root", tmp_path / "typo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kleidi: E-COMMAND-LINE: ")
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_done_is_not_told_as_done(tmp_path: Path) -> None:
    """As for a user who may write the first directory only."""
    (tmp_path / "etc/kubernetes/manifests").mkdir(parents=True)
    (tmp_path / "run").write_text("in the way")
    done = kleidi("install", "--first", "--distribution", "kubeadm", "--root", tmp_path)
    assert done.returncode != 0
    told = [line.split()[-2 if line.split()[-1].isdigit() else -1] for line in done.stdout.splitlines()]
    assert all(Path(name).exists() for name in told if name.startswith("/"))
    assert not (tmp_path / "etc/kubernetes/manifests/kleidi.yaml").exists()


@pytest.mark.parametrize("more", [[], ["--distribution", "kind"]])
def test_a_node_of_no_known_distribution_is_refused(tmp_path: Path, more: list[str]) -> None:
    done = kleidi("install", "--first", "--root", tmp_path, *more)
    assert done.returncode == 2
    assert done.stderr.startswith("kleidi: E-INSTALL-DISTRIBUTION: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_value_for_no_manifest_is_refused() -> None:
    done = kleidi("manifests", "kubeadm", "--image", "a b")
    assert done.returncode == 2
    assert done.stderr.startswith("kleidi: E-INSTALL-VALUE: ")


@needs_root
def test_removal_refuses_with_its_own_exit_code(tmp_path: Path) -> None:
    kleidi("install", "--first", "--root", tmp_path, "--distribution", "kubeadm")
    done = kleidi("uninstall", "--root", tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("kleidi: E-INSTALL-IN-USE: ")
    dry = kleidi("uninstall", "--root", tmp_path, "--force", "--dry-run")
    assert dry.returncode == 0
    assert (tmp_path / "etc/kubernetes/manifests/kleidi.yaml").exists()


def test_manifests_are_shown_or_written(tmp_path: Path) -> None:
    shown = kleidi("manifests", "kind", "--first")
    assert shown.returncode == 0
    written = kleidi("manifests", "kind", "--first", "--directory", tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"cluster.yaml", "containerd.conf", "pod.yaml", "config/encryption-config.yaml"}
    assert set(written.stdout.split()) == {str(tmp_path / name) for name in names}
    for name in names:
        assert (tmp_path / name).read_text() in shown.stdout


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = kleidi("manifests", "kind", "--directory", tmp_path / "file")
    assert done.returncode == 5
    assert done.stderr.startswith("kleidi: E-INSTALL-DENIED: ")
