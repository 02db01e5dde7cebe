"""An API server that is not root: its group, from the manifest to the socket, with no capability anywhere."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.install import node
from appliance.install.node import Node
from appliance.install.steps import Keep
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution, files
from tests.install.shipped import POD, Shipped, make_root
from tests.install.test_commands import kleidi
from tests.install.texts import read, unit
from tests.service.running import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="groups and users are changed")

GROUP = 65534
CONFIG = "etc/kubernetes/kleidi/encryption-config.yaml"


@pytest.fixture
def root() -> Iterator[Path]:
    made = make_root()
    yield made
    shutil.rmtree(made)


def install(root: Path, user: User = User.ROOT, group: int | None = GROUP) -> None:
    described = Description(Role.FIRST, user, socket_group=group)
    node.apply(Node(root).installation(Distribution.KUBEADM, described))


def connects(path: Path, uid: int, gid: int) -> bool:
    """Whether a process of this user and group alone gets through to who listens there."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            with socket.socket(socket.AF_UNIX) as visitor:
                code = 0 if visitor.connect_ex(str(path)) == 0 else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 0


@pytest.mark.parametrize("user", User)
def test_the_socket_is_the_groups_and_nobody_elses(root: Path, tmp_path: Path, user: User) -> None:
    done = kleidi("install", "--first", "--root", root, "--user", user, "--socket-group", GROUP)
    assert done.returncode == 0, done.stderr
    with Shipped(tmp_path, root) as appliance:
        appliance.start()
        assert appliance.wait_ready()
        found = appliance.socket.stat()
        assert (found.st_mode & 0o777, found.st_gid) == (0o660, GROUP)
        assert connects(appliance.socket, 4711, GROUP)
        assert not connects(appliance.socket, 4711, 4711)
        assert not connects(appliance.admin, 4711, GROUP)


def test_a_pod_that_is_not_in_the_group_says_so_and_what_to_do(root: Path, tmp_path: Path) -> None:
    install(root)
    text = (root / POD).read_text()
    lines = [line for line in text.splitlines() if "supplementalGroups" not in line]
    (root / POD).write_text("\n".join(lines))
    with Shipped(tmp_path, root) as appliance:
        appliance.start()
        until(lambda: "E-SOCKET-GROUP" in appliance.run("status").stdout, "E-SOCKET-GROUP")
        said = appliance.run("status").stdout
        assert f"KLEIDI_SOCKET_GROUP={GROUP}" in said
        assert "supplementalGroups" in said
        until(lambda: not appliance.socket.exists(), "nobody waits any more for what cannot be bound")


def test_the_directory_and_the_configuration_are_the_groups_to_read(root: Path) -> None:
    install(root)
    sockets, config = (root / "run/kleidi").stat(), (root / CONFIG).stat()
    assert (sockets.st_mode & 0o7777, sockets.st_uid, sockets.st_gid) == (0o750, 0, GROUP)
    assert (config.st_mode & 0o7777, config.st_uid, config.st_gid) == (0o640, 0, GROUP)
    for shut in ("run/kleidi-admin", "etc/kleidi", "var/lib/kleidi"):
        assert (root / shut).stat().st_mode & 0o077 == 0


def test_a_group_may_come_later_and_go_again(root: Path) -> None:
    install(root, group=None)
    (root / CONFIG).write_text((root / CONFIG).read_text() + "# edited\n")
    install(root)
    assert (root / "run/kleidi").stat().st_gid == (root / CONFIG).stat().st_gid == GROUP
    described = Description(Role.FIRST, socket_group=GROUP)
    steps = Node(root).installation(Distribution.KUBEADM, described)
    assert [type(step) for step in steps] == [Keep]
    install(root, group=None)
    assert (root / "run/kleidi").stat().st_gid == 0
    assert "KLEIDI_SOCKET_GROUP" not in (root / POD).read_text()


@pytest.mark.parametrize("user", User)
def test_every_distribution_gets_the_group_in_its_own_words(user: User) -> None:
    described = Description(Role.FIRST, user, socket_group=GROUP)
    uid = 0 if user is User.ROOT else IMAGE_USER
    for distribution in (Distribution.KUBEADM, Distribution.RKE2, Distribution.K3S, Distribution.KIND):
        spec = read(files(distribution, described)["pod.yaml"])["spec"]
        assert spec["securityContext"]["supplementalGroups"] == [GROUP]
        assert {"name": "KLEIDI_SOCKET_GROUP", "value": str(GROUP)} in spec["containers"][0]["env"]
    for distribution in (Distribution.KUBEADM, Distribution.RKE2):
        tmpfiles = files(distribution, described)["tmpfiles.conf"]
        assert f"d /run/kleidi 0750 {uid} {GROUP} -" in tmpfiles
        assert f"d /run/kleidi-admin 0700 {uid} {uid} -" in tmpfiles
    texts = files(Distribution.PODMAN, described)
    lines = unit(texts["kleidi.container"])
    [arguments] = [value for _, key, value in lines if key == "PodmanArgs"]
    assert f"--group-add={GROUP}" in arguments.split()
    made = [value.split() for _, key, value in lines if key == "ExecStartPre"]
    assert ["-g", str(GROUP)] == next(words[6:8] for words in made if words[-1] == "/run/kleidi")
    [service] = read(texts["compose.yaml"])["services"].values()
    assert service["group_add"] == [str(GROUP)]


@pytest.mark.parametrize("group", [0, -1, 2**31])
def test_what_is_no_group_of_a_pod_is_refused(group: int) -> None:
    done = kleidi("manifests", "kubeadm", "--socket-group", group)
    assert done.returncode == 2
    assert done.stderr.startswith("kleidi: E-INSTALL-VALUE: ")
