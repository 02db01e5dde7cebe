"""Another --user: all that the appliance wrote as the one before goes along, and it serves again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.install import node
from appliance.install.node import Node
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution
from tests.install.shipped import Shipped, make_root
from tests.install.test_commands import kleidi
from tests.service.running import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users are changed")

LOCKS = ("run/kleidi/kms.sock.lock", "run/kleidi-admin/admin.sock.lock", "run/kleidi-admin/health.sock.lock")
OWN = ("var/lib/kleidi", "etc/kleidi", "run/kleidi", "run/kleidi-admin")


@pytest.fixture
def root() -> Iterator[Path]:
    made = make_root()
    yield made
    shutil.rmtree(made)


def uid(user: User) -> int:
    return 0 if user is User.ROOT else IMAGE_USER


@pytest.mark.parametrize("before", User)
def test_both_sockets_answer_after_it(root: Path, tmp_path: Path, before: User) -> None:
    after = next(user for user in User if user is not before)
    keys = []
    for number, user in enumerate((before, after, before)):
        done = kleidi("install", "--first", "--root", root, "--user", user)
        assert done.returncode == 0, done.stderr
        if number:
            assert all(f"owner of {root / lock} becomes user {uid(user)}" in done.stdout for lock in LOCKS)
        found = [path for directory in OWN for path in (root / directory, *(root / directory).iterdir())]
        assert {path.lstat().st_uid for path in found} == {uid(user)}
        scratch = tmp_path / str(number)
        scratch.mkdir()
        with Shipped(scratch, root) as appliance:
            appliance.start()
            keys.append(appliance.wait_ready())
            assert "OPERATIONAL" in appliance.run("status").stdout
            assert appliance.socket.stat().st_uid == uid(user)
    assert len(set(keys)) == 1
    assert "nothing to do" in kleidi("install", "--first", "--root", root, "--user", before).stdout


@pytest.mark.parametrize("what", ["another user's", "link", "directory"])
def test_a_lock_that_is_not_ours_is_named_and_waited_for(root: Path, tmp_path: Path, what: str) -> None:
    node.apply(Node(root).installation(Distribution.KUBEADM, Description(Role.FIRST, User.NONROOT)))
    lock, target = root / LOCKS[0], root / "run/kleidi/target"
    if what == "link":
        lock.symlink_to(target)
    elif what == "directory":
        lock.mkdir()
    else:
        lock.touch(mode=0o600)
    with Shipped(tmp_path, root) as appliance:
        appliance.start()
        until(lambda: "E-SOCKET-OWNER" in appliance.run("status").stdout, "E-SOCKET-OWNER")
        assert str(lock) in appliance.run("status").stdout
        until(lambda: not appliance.socket.exists(), "nobody waits any more for what cannot be bound")
        assert not target.exists()
        lock.rmdir() if what == "directory" else lock.unlink()
        assert appliance.wait_ready()


def test_a_link_in_a_directory_of_ours_keeps_its_targets_owner(root: Path) -> None:
    node.apply(Node(root).installation(Distribution.KUBEADM, Description(Role.FIRST)))
    (root / "target").write_text("")
    (root / LOCKS[0]).symlink_to(root / "target")
    steps = Node(root).installation(Distribution.KUBEADM, Description(Role.FIRST, User.NONROOT))
    node.apply(steps)
    assert not [step for step in steps if LOCKS[0] in str(step)]
    assert (root / "target").stat().st_uid == 0
