"""`kleidi install` and `kleidi uninstall` on a node that is a directory."""

import os
import re
import stat
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.install import layout, node, traces
from appliance.install.node import Node
from appliance.install.steps import Keep, Remove, Write
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to other users")

FIRST = Description(Role.FIRST)
JOIN = Description(Role.JOIN)
KUBEADM = Distribution.KUBEADM
POD = "etc/kubernetes/manifests/kleidi.yaml"
KEY = "etc/kleidi/seal.key"
CONFIG = "etc/kubernetes/kleidi/encryption-config.yaml"
Snapshot = dict[str, tuple[int, int, bytes]]


def install(root: Path, described: Description = FIRST, distribution: Distribution = KUBEADM) -> list[str]:
    steps = Node(root).installation(distribution, described)
    node.apply(steps)
    return [str(step) for step in steps]


def uninstall(root: Path, *, force: bool = False) -> list[str]:
    steps = Node(root).removal(Description(), force=force)
    node.apply(steps)
    return [str(step) for step in steps]


def snapshot(root: Path) -> Snapshot:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (stat.S_IMODE(status.st_mode), status.st_uid, data)
    return found


def refuses(root: Path, described: Description = FIRST, distribution: Distribution = KUBEADM) -> Fault:
    """The fault of an installation that must not have changed anything."""
    before = snapshot(root)
    with pytest.raises(KleidiError) as caught:
        install(root, described, distribution)
    assert snapshot(root) == before
    return caught.value.fault


def seal(root: Path) -> None:
    """As if the appliance had run."""
    (root / "var/lib/kleidi/generation-00000001.seal").write_bytes(b"sealed")


@pytest.mark.parametrize("distribution", layout.INSTALLABLE)
@pytest.mark.parametrize("described", [FIRST, JOIN], ids=["first", "join"])
def test_a_second_run_finds_nothing_to_do(
    tmp_path: Path, distribution: Distribution, described: Description
) -> None:
    assert install(tmp_path, described, distribution)
    before = snapshot(tmp_path)
    assert install(tmp_path, described, distribution) == []
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("user", User)
def test_directories_and_key_belong_to_the_appliance_alone(tmp_path: Path, user: User) -> None:
    mask = os.umask(0o077)
    try:
        install(tmp_path, Description(Role.FIRST, user))
    finally:
        os.umask(mask)
    found = {path: (mode, uid) for path, (mode, uid, _) in snapshot(tmp_path).items()}
    uid = 0 if user is User.ROOT else IMAGE_USER
    assert found["var/lib/kleidi"] == found["etc/kleidi"] == found["run/kleidi-admin"] == (0o700, uid)
    assert found["run/kleidi"] == (0o750, uid)
    assert found[KEY] == (0o400, uid)
    assert found[CONFIG] == found[POD] == (0o600, 0)
    assert found["etc/kubernetes"] == found["etc/tmpfiles.d"] == (0o755, 0)
    assert (tmp_path / KEY).stat().st_size == 32


def test_both_roles_get_a_seal_key_and_neither_a_generation(tmp_path: Path) -> None:
    for described in (FIRST, JOIN):
        root = tmp_path / described.role
        install(root, described)
        assert (root / KEY).is_file()
        assert list((root / "var/lib/kleidi").iterdir()) == []


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    steps = Node(tmp_path).installation(KUBEADM, FIRST)
    assert snapshot(tmp_path) == before
    assert any(POD in str(step) for step in steps)


def test_what_starts_the_appliance_comes_last(tmp_path: Path) -> None:
    last = Node(tmp_path).installation(KUBEADM, FIRST)[-1]
    assert isinstance(last, Write)
    assert last.path == tmp_path / POD


def test_a_pod_directory_never_holds_anything_but_whole_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    watched = (tmp_path / POD).parent
    rename = Path.rename

    def look(self: Path, target: Path) -> Path:
        seen.append({path.name for path in watched.iterdir()} if watched.exists() else set())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look)
    install(tmp_path)
    monkeypatch.undo()
    assert set().union(*seen) == set()
    assert {path.name for path in watched.iterdir()} == {"kleidi.yaml"}


@pytest.mark.parametrize("role", Role)
def test_a_seal_key_is_never_replaced(tmp_path: Path, role: Role) -> None:
    install(tmp_path)
    key = (tmp_path / KEY).read_bytes()
    (tmp_path / POD).unlink()
    install(tmp_path, Description(role))
    assert (tmp_path / KEY).read_bytes() == key


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seal_key_that_is_none_is_left_for_the_operator_to_look_at(tmp_path: Path, size: int) -> None:
    install(tmp_path)
    (tmp_path / KEY).write_bytes(bytes(size))
    assert refuses(tmp_path) is faults.SEAL_KEY_INVALID


@pytest.mark.parametrize(
    "trace",
    ["var/lib/kleidi/generation-00000003.seal", "etc/kleidi/anchor.json", "etc/kleidi/seal.key.used"],
)
def test_no_new_seal_key_where_an_old_one_sealed_something(tmp_path: Path, trace: str) -> None:
    install(tmp_path)
    (tmp_path / KEY).unlink()
    (tmp_path / trace).write_bytes(b"{}")
    assert refuses(tmp_path) is faults.INSTALL_KEY_LOST


@pytest.mark.parametrize("distribution", layout.INSTALLABLE)
def test_a_joining_node_does_not_become_the_first_one(tmp_path: Path, distribution: Distribution) -> None:
    install(tmp_path, JOIN, distribution)
    assert refuses(tmp_path, FIRST, distribution) is faults.INSTALL_ROLE


def test_a_first_node_may_give_up_making_keys(tmp_path: Path) -> None:
    install(tmp_path, FIRST)
    assert any("new text" in step and POD in step for step in install(tmp_path, JOIN))


def test_a_new_image_is_put_in_place(tmp_path: Path) -> None:
    install(tmp_path)
    seal(tmp_path)
    assert len(install(tmp_path, Description(Role.FIRST, image="localhost/kleidi:2"))) == 1
    assert "localhost/kleidi:2" in (tmp_path / POD).read_text()


def test_changing_the_user_takes_the_files_along(tmp_path: Path) -> None:
    install(tmp_path)
    seal(tmp_path)
    install(tmp_path, Description(Role.FIRST, User.NONROOT))
    owners = {path: uid for path, (_, uid, _) in snapshot(tmp_path).items()}
    assert owners["var/lib/kleidi/generation-00000001.seal"] == owners[KEY] == IMAGE_USER


def test_a_mode_that_was_loosened_is_put_right(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "etc/kleidi").chmod(0o755)
    (tmp_path / POD).chmod(0o644)
    assert len(install(tmp_path)) == 2
    assert install(tmp_path) == []


def test_an_edited_encryption_configuration_stays(tmp_path: Path) -> None:
    install(tmp_path)
    edited = (tmp_path / CONFIG).read_text().replace("- identity", "- aescbc")
    (tmp_path / CONFIG).write_text(edited)
    steps = Node(tmp_path).installation(KUBEADM, FIRST)
    node.apply(steps)
    assert [type(step) for step in steps] == [Keep]
    assert (tmp_path / CONFIG).read_text() == edited


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / POD).parent.mkdir(parents=True)
    (tmp_path / POD).write_text("kind: Pod\n")
    assert refuses(tmp_path) is faults.INSTALL_OCCUPIED


@pytest.mark.parametrize("path", ["var/lib/kleidi", "etc/kleidi", "run/kleidi"])
def test_a_file_where_a_directory_must_be_is_not_removed(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("")
    assert refuses(tmp_path) is faults.INSTALL_OCCUPIED


def test_an_installation_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    whole = Node(tmp_path).installation(KUBEADM, FIRST)
    for size in range(len(whole)):
        root = tmp_path / str(size)
        node.apply(Node(root).installation(KUBEADM, FIRST)[:size])
        install(root)
        assert install(root) == []


@pytest.mark.parametrize(
    ("directory", "distribution"),
    [
        ("etc/rancher/rke2", Distribution.RKE2),
        ("var/lib/rancher/rke2", Distribution.RKE2),
        ("etc/rancher/k3s", Distribution.K3S),
        ("etc/kubernetes/manifests", KUBEADM),
        ("etc/systemd", None),
    ],
)
def test_the_distribution_is_told_by_its_directories(
    tmp_path: Path, directory: str, distribution: Distribution | None
) -> None:
    (tmp_path / directory).mkdir(parents=True)
    assert traces.found(tmp_path) is distribution


@pytest.mark.parametrize("distribution", layout.INSTALLABLE)
def test_removal_takes_everything_that_starts_it_and_nothing_that_holds_a_key(
    tmp_path: Path, distribution: Distribution
) -> None:
    install(tmp_path, FIRST, distribution)
    seal(tmp_path)
    kept = {KEY, CONFIG, "var/lib/kleidi/generation-00000001.seal"}
    before = snapshot(tmp_path)
    uninstall(tmp_path, force=True)
    after = snapshot(tmp_path)
    assert {path for path in after if (tmp_path / path).is_file()} == kept
    assert all(after[path] == before[path] for path in kept)
    assert not [step for step in Node(tmp_path).removal(FIRST, force=True) if isinstance(step, Remove)]


def test_removal_says_what_stays_and_why(tmp_path: Path) -> None:
    install(tmp_path)
    said = "\n".join(uninstall(tmp_path, force=True))
    assert re.search("var/lib/kleidi stays: .*etcd", said)
    assert re.search("etc/kleidi stays: .*seal key", said)


def test_removal_refuses_while_the_api_server_may_need_us(tmp_path: Path) -> None:
    install(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(KleidiError) as caught:
        uninstall(tmp_path)
    assert caught.value.fault is faults.INSTALL_IN_USE
    assert snapshot(tmp_path) == before


def test_removal_goes_on_once_everything_is_decrypted(tmp_path: Path) -> None:
    install(tmp_path)
    text = (tmp_path / CONFIG).read_text()
    entry = text[text.index("  - kms:") : text.index("  - identity:")]
    (tmp_path / CONFIG).write_text(text.replace(entry, entry.replace("  ", "# ", 1).replace("\n ", "\n# ")))
    assert not (tmp_path / POD).exists() or uninstall(tmp_path)
    assert not (tmp_path / POD).exists()


def test_removal_leaves_what_somebody_else_put_in_our_place(tmp_path: Path) -> None:
    (tmp_path / POD).parent.mkdir(parents=True)
    (tmp_path / POD).write_text("kind: Pod\n")
    assert "not ours" in "".join(uninstall(tmp_path))
    assert (tmp_path / POD).exists()


def test_removal_of_nothing_does_nothing(tmp_path: Path) -> None:
    assert uninstall(tmp_path) == []
