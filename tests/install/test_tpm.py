"""`--tpm`, `--slot` and `--recovery`: what a node gets for its chip, and keeps through an upgrade."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.install import chip, layout
from appliance.install.node import Node, apply
from appliance.manifests import podman, relay
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.slots import Slot, SlotName
from appliance.manifests.tpm import DEVICE, Tpm
from appliance.settings import PREFIX, load
from tests.install.test_commands import kleidi, needs_root
from tests.install.test_install import FIRST, KEY, install, refuses, seal, snapshot, uninstall
from tests.install.texts import read, unit

GROUP = 109
RECIPIENT = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
CHIP = replace(FIRST, tpm=Tpm(chip.program(), GROUP))
ALONE = replace(CHIP, slot=Slot(SlotName.TPM, RECIPIENT))
RELAYED = pytest.mark.parametrize("distribution", layout.RELAYED)
DIRECT = pytest.mark.parametrize("distribution", [Distribution.PODMAN, Distribution.K3S])
EVERY = pytest.mark.parametrize("distribution", layout.INSTALLABLE)
PATHS = {path.lstrip("/") for _, path, _ in relay.PLACES}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node with Python, as every Debian, Ubuntu, SUSE and Red Hat machine has it: by a link."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3.11").touch()
    (tmp_path / "usr/bin/python3").symlink_to("python3.11")
    return tmp_path


def manifests(root: Path) -> list[str]:
    """Of what starts the appliance, all texts that are on the node."""
    paths = (
        "etc/kubernetes/manifests",
        "var/lib/rancher/rke2/agent/pod-manifests",
        "etc/rancher/rke2/kleidi",
    )
    pods = [file for path in paths for file in (root / path).glob("*.yaml")]
    return [file.read_text() for file in (*pods, *(root / "etc/containers/systemd").glob("*"))]


def sealed_by(root: Path) -> set[str]:
    """What the manifests say of the slot."""
    lines = "\n".join(manifests(root)).replace("\n      value: ", "=").replace('"', "").splitlines()
    return {line.rpartition("KLEIDI_SLOT=")[2] for line in lines if "KLEIDI_SLOT=" in line}


@needs_root
@pytest.mark.parametrize("user", User)
@RELAYED
def test_a_pod_gets_a_socket_and_no_device(root: Path, distribution: Distribution, user: User) -> None:
    described = replace(CHIP, user=user)
    install(root, described, distribution)
    found = snapshot(root)
    assert {path: found[path][:2] for path in PATHS} == dict.fromkeys(PATHS, (0o644, 0))
    made = (root / "run/kleidi-tpm").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (0o750, 0, described.uid)
    assert (
        f"d /run/kleidi-tpm 0750 0 {described.uid} -\n" in (root / "etc/tmpfiles.d/kleidi.conf").read_text()
    )
    for text in manifests(root):
        spec = read(text)["spec"]
        [container] = spec["containers"]
        assert {"name": "KLEIDI_TPM", "value": "unix:///run/kleidi-tpm/tpm.sock"} in container["env"]
        mounts = [
            each for each in container["volumeMounts"] if each["mountPath"].startswith("/run/kleidi-tpm")
        ]
        assert mounts == [{"name": "tpm", "mountPath": "/run/kleidi-tpm", "readOnly": True}]
        volume = {"path": "/run/kleidi-tpm", "type": "DirectoryOrCreate"}
        assert {"name": "tpm", "hostPath": volume} in spec["volumes"]
        assert container["securityContext"]["privileged"] is False
        assert DEVICE not in text


@needs_root
@DIRECT
def test_podman_gets_the_device_with_its_group_and_no_relay(
    tmp_path: Path, distribution: Distribution
) -> None:
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev/tpmrm0", stat.S_IFCHR | 0o660, os.makedev(10, 229))
    os.chown(tmp_path / "dev/tpmrm0", 0, GROUP)
    install(tmp_path, replace(FIRST, tpm=Tpm(chip.program())), distribution)
    lines = unit((tmp_path / podman.QUADLET.lstrip("/")).read_text())
    assert ("Container", "AddDevice", DEVICE) in lines
    assert ("Container", "PodmanArgs", f"--group-add={GROUP}") in lines
    assert ("Container", "DropCapability", "all") in lines
    assert not PATHS & set(snapshot(tmp_path))
    assert not (tmp_path / "run/kleidi-tpm").exists()


@pytest.mark.parametrize("socket_group", [None, 4242])
def test_a_compose_file_has_every_group(socket_group: int | None) -> None:
    described = replace(CHIP, socket_group=socket_group)
    [service] = read(files(Distribution.PODMAN, described)["compose.yaml"])["services"].values()
    assert service["devices"] == [f"{DEVICE}:{DEVICE}"]
    assert service["group_add"] == [*([str(socket_group)] if socket_group else []), str(GROUP)]


def test_kinds_node_is_shown_the_socket_of_the_machine_below() -> None:
    texts = files(Distribution.KIND, CHIP)
    [first] = read(texts["cluster.yaml"])["nodes"]
    mount = {"hostPath": "/run/kleidi-tpm", "containerPath": "/run/kleidi-tpm", "readOnly": True}
    assert mount in first["extraMounts"]
    assert "kleidi-tpm" in texts["pod.yaml"]


@pytest.mark.parametrize("distribution", Distribution)
def test_without_it_no_text_names_a_tpm(distribution: Distribution) -> None:
    texts = files(distribution, FIRST)
    assert not [name for name, text in texts.items() if "tpm" in text.lower() and name != "kleidi"]


@needs_root
@EVERY
def test_an_upgrade_keeps_what_was_given_once(root: Path, distribution: Distribution) -> None:
    install(root, ALONE, distribution)
    before = snapshot(root)
    described = replace(FIRST, image="localhost/kleidi:2")
    install(root, described, distribution)
    assert install(root, described, distribution) == []
    after = snapshot(root)
    assert set(before) == set(after)
    changed = {path for path in before if before[path] != after[path]}
    assert changed
    assert not changed & PATHS
    assert all("localhost/kleidi:2" in text and RECIPIENT in text for text in manifests(root))
    assert sealed_by(root) == {"tpm"}


@needs_root
@RELAYED
def test_an_upgrade_brings_the_relay_up_to_date_and_to_another_user(
    root: Path, distribution: Distribution
) -> None:
    install(root, CHIP, distribution)
    program = root / relay.PROGRAM.lstrip("/")
    program.write_text(program.read_text() + "# older\n")
    install(root, replace(FIRST, user=User.NONROOT), distribution)
    assert program.read_text().endswith(chip.program())
    unit = (root / "etc/systemd/system/kleidi-tpm.socket").read_text()
    assert f"chown {IMAGE_USER}:{IMAGE_USER} {relay.SOCKET}\n" in unit
    assert (root / "run/kleidi-tpm").stat().st_gid == IMAGE_USER


@needs_root
@EVERY
def test_a_node_that_its_tpm_opens_gets_no_seal_key(root: Path, distribution: Distribution) -> None:
    install(root, ALONE, distribution)
    assert not (root / KEY).exists()
    seal(root)
    (root / "etc/kleidi/anchor.json").write_text("{}")
    for described in (ALONE, FIRST):
        install(root, described, distribution)
        assert install(root, described, distribution) == []
        assert not (root / KEY).exists()


@needs_root
@EVERY
def test_the_chip_alone_changes_no_slot(root: Path, distribution: Distribution) -> None:
    install(root, CHIP, distribution)
    assert (root / KEY).is_file()
    assert sealed_by(root) == set()


@needs_root
def test_the_settings_file_may_say_what_opens_the_seal(root: Path) -> None:
    (root / "etc/kleidi").mkdir(parents=True)
    (root / "etc/kleidi/config.toml").write_text('slot = "tpm"\n')
    install(root)
    assert not (root / KEY).exists()


@needs_root
@EVERY
def test_the_way_back_to_a_file_is_one_word(root: Path, distribution: Distribution) -> None:
    install(root, ALONE, distribution)
    install(root, replace(FIRST, slot=Slot(SlotName.FILE)), distribution)
    assert sealed_by(root) == set()
    assert (root / KEY).is_file()
    assert all("tpm" in text for text in manifests(root))


@needs_root
@EVERY
def test_a_file_that_is_gone_is_told_where_a_file_is_to_open(root: Path, distribution: Distribution) -> None:
    install(root, ALONE, distribution)
    seal(root)
    described = replace(FIRST, slot=Slot(SlotName.FILE))
    assert refuses(root, described, distribution) is faults.INSTALL_KEY_LOST


@needs_root
@EVERY
def test_removal_takes_all_of_it_off(root: Path, distribution: Distribution) -> None:
    install(root, CHIP, distribution)
    steps = uninstall(root, force=True)
    assert not PATHS & set(snapshot(root))
    assert manifests(root) == []
    if distribution in layout.RELAYED:
        starts = next(number for number, step in enumerate(steps) if step.endswith("kleidi.yaml"))
        assert starts < next(number for number, step in enumerate(steps) if "kleidi-tpm" in step)


@needs_root
@RELAYED
def test_an_installation_that_was_cut_off_goes_on(root: Path, distribution: Distribution) -> None:
    """At every step of it: what starts the pod comes last, so nothing dials a relay that is not there."""
    steps = Node(root).installation(distribution, CHIP)
    for done in range(len(steps)):
        apply(steps[done : done + 1])
        rest = [str(step) for step in Node(root).installation(distribution, CHIP)]
        assert rest == [str(step) for step in steps[done + 1 :]]
    texts = [str(step) for step in steps]
    assert "kleidi.yaml" in texts[-1]


@needs_root
@RELAYED
def test_what_is_not_ours_stays(root: Path, distribution: Distribution) -> None:
    other = root / "etc/systemd/system/kleidi-tpm.socket"
    other.parent.mkdir(parents=True)
    other.write_text("[Socket]\n")
    assert refuses(root, CHIP, distribution) is faults.INSTALL_OCCUPIED


@needs_root
@RELAYED
def test_a_node_without_python_is_told_before_anything_is_done(
    tmp_path: Path, distribution: Distribution
) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    assert refuses(tmp_path, CHIP, distribution) is faults.INSTALL_PYTHON


@needs_root
@DIRECT
def test_a_device_that_podman_would_not_find_is_refused(tmp_path: Path, distribution: Distribution) -> None:
    unknown = replace(FIRST, tpm=Tpm(chip.program()))
    assert refuses(tmp_path, unknown, distribution) is faults.INSTALL_TPM
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/tpmrm0").touch()
    assert refuses(tmp_path, unknown, distribution) is faults.INSTALL_TPM
    (tmp_path / "dev/tpmrm0").unlink()
    install(tmp_path, CHIP, distribution)
    assert install(tmp_path, unknown, distribution) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--slot", "tpm", "--recovery", RECIPIENT], "E-COMMAND-LINE"),
        (["--tpm-group", "109"], "E-COMMAND-LINE"),
        (["--tpm", "--slot", "tpm"], "E-INSTALL-VALUE"),
        (["--tpm", "--tpm-group", "-1"], "E-INSTALL-VALUE"),
        (["--recovery", "AGE-SECRET-KEY-1"], "E-INSTALL-VALUE"),
        (["--recovery", "age1a b"], "E-INSTALL-VALUE"),
        (["--recovery", RECIPIENT.replace("qqv", "qvq")], "E-INSTALL-VALUE"),
    ],
    ids=str,
)
def test_half_a_wish_is_refused_in_one_line(root: Path, words: list[str], code: str) -> None:
    before = snapshot(root)
    for verb in (["manifests", "kubeadm"], ["install", "--first", "--root", str(root)]):
        done = kleidi(*verb, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"kleidi: {code}: ")
        assert len(done.stderr.splitlines()) == 1
        assert "AGE-SECRET-KEY" not in done.stderr
    assert snapshot(root) == before


@needs_root
def test_a_dry_run_tells_every_step_and_the_command_what_is_left(root: Path) -> None:
    words = ("--first", "--distribution", "kubeadm", "--root", root, "--tpm", "--slot", "tpm")
    shown = kleidi("install", *words, "--recovery", RECIPIENT, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    done = kleidi("install", *words, "--recovery", RECIPIENT)
    assert done.returncode == 0, done.stderr
    assert shown.stdout.replace("would do: ", "") == done.stdout
    for path in PATHS:
        assert f"file {root}/{path} 0644\n" in done.stdout
    assert "seal key" not in done.stdout
    assert "systemctl restart kleidi-tpm.socket" in done.stdout
    gone = kleidi("uninstall", "--root", root, "--force")
    assert "systemctl stop kleidi-tpm.socket" in gone.stdout


@RELAYED
def test_manifests_print_what_an_installation_writes(tmp_path: Path, distribution: Distribution) -> None:
    done = kleidi("manifests", distribution, "--tpm", "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    texts = files(distribution, Description(Role.JOIN, tpm=Tpm(chip.program())))
    assert {name: (tmp_path / name).read_text() for name in texts} == texts
    assert {name for name, _, _ in relay.PLACES} <= set(texts)


@pytest.mark.parametrize("recovery", ["AGE-SECRET-KEY-1", "age1", 'age1"', "age1a\n", "ssh-ed25519 AAAA"])
def test_what_no_recipient_is_stands_in_no_manifest(recovery: str) -> None:
    with pytest.raises(ValueError, match="no age recipient"):
        Slot(SlotName.TPM, recovery)


def test_every_pod_says_settings_that_the_appliance_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("KLEIDI_CONFIG_FILE", str(tmp_path / "config.toml"))
    [container] = read(files(Distribution.KUBEADM, ALONE)["pod.yaml"])["spec"]["containers"]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    settings = load()
    assert (settings.slot, settings.tpm, settings.recovery) == ("tpm", Path(relay.SOCKET), RECIPIENT)
