"""`kleidi` on the node: it finds the one container, hands everything through, and says why it cannot."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from appliance import faults
from appliance.install import layout, node
from appliance.install.node import Node
from appliance.install.steps import Keep
from appliance.manifests import command
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution

RANCHER = "/var/lib/rancher/rke2"
ENDPOINT = "unix:///run/somewhere.sock"
# Answers `ps` with what its file says, writes down how it was called, and ends as crictl or podman would.
PROGRAM = """#!/bin/sh
echo "$0 $*" >>{log}
case "$*" in
  *" ps "* | "ps "*) while IFS= read -r id; do echo "$id"; done <{ids}; exit 0 ;;
esac
{then}
"""
ECHO = 'while IFS= read -r line; do echo "read $line"; done\necho words >&2\n'
# cri-tools, cmd/crictl/exec.go and main.go: the code is told in words, and the process ends with 1.
CRICTL_ENDS = """\
echo 'kleidi: E-X' >&2
echo 'level=fatal msg="execing command in container: command terminated with exit code 10"' >&2
exit 1
"""
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")


class Host:
    """A PATH with the programs of the test's choice, and the command as the node would have it."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin, self.log = root, root / "bin", root / "log"
        self.bin.mkdir()
        self.command = root / "kleidi"
        self.command.write_text(command.text().replace(RANCHER, f"{root}/rke2"))

    def has(self, name: str, *ids: str, then: str = ECHO) -> None:
        program = self.root / "rke2/bin/crictl" if name == "rke2" else self.bin / name
        program.parent.mkdir(parents=True, exist_ok=True)
        (self.root / f"{name}.ids").write_text("".join(f"{each}\n" for each in ids))
        program.write_text(PROGRAM.format(log=self.log, ids=self.root / f"{name}.ids", then=then))
        program.chmod(0o755)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(self.command), *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.bin), "CONTAINER_RUNTIME_ENDPOINT": ENDPOINT}

    def calls(self) -> list[str]:
        return [line.removeprefix(f"{self.root}/") for line in self.log.read_text().splitlines()]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


CRI_PS = "ps --quiet --name ^kleidi$ --label io.kubernetes.pod.namespace=kube-system"
OCI_PS = "ps --quiet --no-trunc --filter name=^kleidi$"


@pytest.mark.parametrize(
    ("runtime", "asked", "executed"),
    [
        ("crictl", f"bin/crictl {CRI_PS}", "bin/crictl exec -i 0a1b kleidi"),
        ("k3s", f"bin/k3s crictl {CRI_PS}", "bin/k3s crictl exec -i 0a1b kleidi"),
        (
            "rke2",
            f"rke2/bin/crictl --config ROOT/rke2/agent/etc/crictl.yaml {CRI_PS}",
            "rke2/bin/crictl --config ROOT/rke2/agent/etc/crictl.yaml exec -i 0a1b kleidi",
        ),
        ("podman", f"bin/podman {OCI_PS}", "bin/podman exec -i 0a1b kleidi"),
        ("docker", f"bin/docker {OCI_PS}", "bin/docker exec -i 0a1b kleidi"),
    ],
)
def test_whoever_runs_the_container_is_asked_to_run_it(
    host: Host, runtime: str, asked: str, executed: str
) -> None:
    host.has(runtime, "0a1b")
    done = host.run("key", "check", "v 1", "--usage", "-", stdin="count\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "read count\n"
    assert done.stderr == "words\n"
    root = str(host.root)
    assert host.calls() == [
        asked.replace("ROOT", root),
        f"{executed} key check v 1 --usage -".replace("ROOT", root),
    ]


def test_the_next_one_is_asked_where_the_first_has_none(host: Host) -> None:
    host.has("crictl")
    host.has("podman", "0a1b")
    assert host.run("status").returncode == 0
    assert host.calls()[-1] == "bin/podman exec -i 0a1b kleidi status"


@pytest.mark.parametrize("runtime", ["crictl", "podman"])
def test_a_terminal_is_asked_for_only_between_two_terminals(host: Host, runtime: str) -> None:
    host.has(runtime, "0a1b", then="")
    ours, theirs = pty.openpty()
    try:
        for stdout in (theirs, subprocess.DEVNULL):
            subprocess.run(
                ["/bin/sh", str(host.command), "status"],
                env=host.environment,
                stdin=theirs,
                stdout=stdout,
                check=True,
                timeout=30,
            )
    finally:
        os.close(ours)
        os.close(theirs)
    executed = [call for call in host.calls() if " exec " in call]
    assert executed == [
        f"bin/{runtime} exec -i -t 0a1b kleidi status",
        f"bin/{runtime} exec -i 0a1b kleidi status",
    ]


@pytest.mark.parametrize(
    ("then", "code", "words"),
    [
        (CRICTL_ENDS, 10, "kleidi: E-X\n"),
        ("echo 'FATA[0000] connect: no such file' >&2\nexit 1\n", 1, "FATA[0000] connect: no such file\n"),
        ("exit 0\n", 0, ""),
    ],
)
def test_the_exit_code_is_kleidis_although_crictl_has_one_of_its_own(
    host: Host, then: str, code: int, words: str
) -> None:
    host.has("crictl", "0a1b", then=then)
    done = host.run("key", "check", "v1")
    assert (done.returncode, done.stderr) == (code, words)


def test_podmans_exit_code_is_kleidis(host: Host) -> None:
    host.has("podman", "0a1b", then="exit 10\n")
    assert host.run("status").returncode == 10


def test_what_is_no_text_passes_as_it_is(host: Host) -> None:
    host.has("crictl", "0a1b", then="printf 'a\\000\\377b'\n")
    done = subprocess.run(
        ["/bin/sh", str(host.command), "backup", "create", "-"],
        env=host.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == b"a\0\xffb"


@pytest.mark.parametrize("runtimes", [(), ("crictl",), ("crictl", "podman")])
def test_where_none_runs_it_says_so_in_one_line(host: Host, runtimes: tuple[str, ...]) -> None:
    for runtime in runtimes:
        host.has(runtime)
    done = host.run("status")
    assert done.returncode == faults.CONTAINER_NONE.exit
    assert done.stderr.startswith("kleidi: E-CONTAINER-NONE: ")
    assert len(done.stderr.splitlines()) == 1
    assert "`crictl ps -a`" in done.stderr
    assert ", ".join(runtimes) in done.stderr


def test_where_several_run_it_chooses_none(host: Host) -> None:
    host.has("crictl", "0a1b", "2c3d")
    done = host.run("status")
    assert done.returncode == faults.CONTAINER_SEVERAL.exit
    assert done.stderr.startswith("kleidi: E-CONTAINER-SEVERAL: ")
    assert len(done.stderr.splitlines()) == 1
    assert len(host.calls()) == 1


def installed(root: Path) -> list[str]:
    steps = Node(root).installation(Distribution.KUBEADM, Description(Role.FIRST))
    node.apply(steps)
    return [str(step) for step in steps]


@NEEDS_ROOT
@pytest.mark.parametrize("distribution", layout.INSTALLABLE)
def test_an_installation_brings_it_and_a_removal_takes_it(tmp_path: Path, distribution: Distribution) -> None:
    node.apply(Node(tmp_path).installation(distribution, Description(Role.JOIN)))
    written = tmp_path / "usr/local/bin/kleidi"
    assert written.read_text() == command.text()
    assert written.stat().st_mode & 0o7777 == 0o755
    node.apply(Node(tmp_path).removal(Description(), force=True))
    assert not written.exists()


@NEEDS_ROOT
@pytest.mark.parametrize("other", ["file", "link", "directory"])
def test_what_somebody_else_has_there_stays_and_the_rest_is_done(tmp_path: Path, other: str) -> None:
    theirs = tmp_path / "usr/local/bin/kleidi"
    theirs.parent.mkdir(parents=True)
    match other:
        case "file":
            theirs.write_text("#!/usr/bin/python3\n")
        case "link":
            theirs.symlink_to("/opt/kleidi/bin/kleidi")
        case _:
            theirs.mkdir()
    before = theirs.lstat()
    assert f"{theirs} stays: it is not ours" in installed(tmp_path)
    assert (tmp_path / "etc/kubernetes/manifests/kleidi.yaml").is_file()
    assert [
        type(step) for step in Node(tmp_path).installation(Distribution.KUBEADM, Description(Role.FIRST))
    ] == [Keep]
    removed = Node(tmp_path).removal(Description(), force=True)
    assert f"{theirs} stays: it is not ours" in [str(step) for step in removed]
    node.apply(removed)
    assert theirs.lstat().st_ino == before.st_ino


@NEEDS_ROOT
def test_a_node_whose_programs_are_read_only_is_installed_without_it(tmp_path: Path) -> None:
    programs = tmp_path / "usr"
    programs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "kleidi-test", str(programs)], check=True)
    try:
        said = installed(tmp_path)
    finally:
        subprocess.run(["umount", str(programs)], check=True)
    assert f"{programs}/local/bin/kleidi stays: its file system is read-only" in said
    assert (tmp_path / "etc/kubernetes/manifests/kleidi.yaml").is_file()
