"""What an operator wrote into the manifest outlives the documented upgrade; what cannot is said."""

import os
from pathlib import Path

import pytest

from appliance import faults
from appliance.install import node
from appliance.install.node import Node
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution
from tests.install.test_install import install, refuses, snapshot
from tests.install.texts import Json, read, unit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")

POD = "etc/kubernetes/manifests/kleidi.yaml"
QUADLET = "etc/containers/systemd/kleidi.container"
NEXT = Description(Role.FIRST, image="localhost/kleidi:2")
# Quotes, blanks, colons: what YAML and systemd read otherwise when it is written carelessly.
ODD = 'age1x age1y: "#%'


def edited(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text)


def container(root: Path) -> Json:
    [found] = read((root / POD).read_text())["spec"]["containers"]
    return dict(found)


def environment(root: Path) -> dict[str, object]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(root)["env"]}


MORE = f"""value: "never"
    - name: KLEIDI_BACKUP_RECIPIENTS
      value: '{ODD}'
    - {{name: KLEIDI_BACKUP_DIR, value: /backup}}
    - name: NODE
      valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}"""
MOUNT = "    - {name: backup, mountPath: /backup}\n"
VOLUME = "  volumes:\n  - {name: backup, hostPath: {path: /srv/backup, type: Directory}}\n"


def test_a_pods_settings_and_mounts_go_over_into_its_next_text(tmp_path: Path) -> None:
    install(tmp_path)
    before = environment(tmp_path)
    edited(tmp_path / POD, ('value: "auto"', MORE), ("  volumes:\n", MOUNT + VOLUME))
    steps = install(tmp_path, NEXT)
    assert len(steps) == 1
    assert "without" not in steps[0]
    assert environment(tmp_path) == before | {
        "KLEIDI_PROVISION": "never",
        "KLEIDI_BACKUP_RECIPIENTS": ODD,
        "KLEIDI_BACKUP_DIR": "/backup",
        "NODE": {"fieldRef": {"fieldPath": "spec.nodeName"}},
    }
    assert container(tmp_path)["image"] == "localhost/kleidi:2"
    assert {"name": "backup", "mountPath": "/backup"} in container(tmp_path)["volumeMounts"]
    volumes = read((tmp_path / POD).read_text())["spec"]["volumes"]
    assert {"name": "backup", "hostPath": {"path": "/srv/backup", "type": "Directory"}} in volumes
    assert install(tmp_path, NEXT) == []


def test_what_cannot_go_over_is_said(tmp_path: Path) -> None:
    install(tmp_path)
    edited(tmp_path / POD, ("memory: 384Mi", "memory: 1Gi"))
    [step] = install(tmp_path, NEXT)
    assert "without: spec.containers[kleidi].resources.limits.memory: 1Gi" in step


def test_who_joins_is_never_left_at_auto_or_never(tmp_path: Path) -> None:
    install(tmp_path)
    edited(tmp_path / POD, ('value: "auto"', 'value: "never"'))
    install(tmp_path, Description(Role.JOIN))
    assert environment(tmp_path) == {"KLEIDI_PROVISION": "join"}


def test_a_manifest_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    install(tmp_path)
    edited(tmp_path / POD, ('value: "auto"', 'value: "never'))
    assert refuses(tmp_path, NEXT) is faults.INSTALL_OCCUPIED


@pytest.mark.parametrize("distribution", [Distribution.PODMAN, Distribution.K3S])
def test_a_quadlets_settings_and_mounts_go_over_into_its_next_text(
    tmp_path: Path, distribution: Distribution
) -> None:
    node.apply(Node(tmp_path).installation(distribution, Description(Role.FIRST)))
    more = "Environment=KLEIDI_PROVISION=never\n"
    more += 'Environment="A=a \\"b" KLEIDI_BACKUP_DIR=/backup\nEnvironment=C=%H\n'
    edited(
        tmp_path / QUADLET,
        ("Environment=KLEIDI_PROVISION=auto\n", f"{more}Volume=/srv/backup:/backup:Z\n"),
        ("TimeoutStopSec=30", "TimeoutStopSec=60"),
    )
    steps = [str(step) for step in Node(tmp_path).installation(distribution, NEXT)]
    node.apply(Node(tmp_path).installation(distribution, NEXT))
    lines = unit((tmp_path / QUADLET).read_text())
    assert [value for _, key, value in lines if key == "Environment"] == [
        "KLEIDI_PROVISION=never",
        '"A=a \\"b"',
        "KLEIDI_BACKUP_DIR=/backup",
        "C=%H",
    ]
    assert ("Container", "Volume", "/srv/backup:/backup:Z") in lines
    assert ("Container", "Image", "localhost/kleidi:2") in lines
    assert steps[-1].endswith("without: TimeoutStopSec=60")
    assert Node(tmp_path).installation(distribution, NEXT) == []


def test_the_settings_file_is_the_operators(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "etc/kleidi/config.toml").write_text("require_backup = true\n")
    before = snapshot(tmp_path)["etc/kleidi/config.toml"]
    install(tmp_path, NEXT)
    node.apply(Node(tmp_path).removal(Description(), force=True))
    assert snapshot(tmp_path)["etc/kleidi/config.toml"] == before
