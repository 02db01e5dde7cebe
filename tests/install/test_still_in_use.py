"""`kleidi uninstall` while something still needs this node's keys, as the API server and etcd see it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from appliance import faults
from appliance.endpoint import dialled
from appliance.faults import Fault, KleidiError
from appliance.install import node
from appliance.install.node import Node
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution
from tests.install.test_commands import kleidi
from tests.install.test_existing_encryption import FLAG, NODES, configuration, pod, put

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")

CONFIG = "etc/kubernetes/kleidi/encryption-config.yaml"
POD = "etc/kubernetes/manifests/kube-apiserver.yaml"
OURS = "etc/kubernetes/manifests/kleidi.yaml"


def install(root: Path, role: Role = Role.FIRST, distribution: Distribution = Distribution.KUBEADM) -> None:
    node.apply(Node(root).installation(distribution, Description(role)))


def removal_fault(root: Path, stored: int | None = None) -> Fault | None:
    try:
        Node(root).removal(Description(), force=False, stored=stored)
    except KleidiError as error:
        return error.fault
    return None


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A node without a key yet, whose own configuration names nobody any more."""
    install(tmp_path)
    put(tmp_path, CONFIG, configuration({"identity": {}}))
    return tmp_path


def seal(root: Path) -> None:
    (root / "var/lib/kleidi/generation-00000001.seal").write_bytes(b"sealed")


def test_another_name_of_the_same_directory_is_the_same_socket(installed: Path) -> None:
    shutil.copy(NODES / "var-run.yaml", installed / CONFIG)
    done = kleidi("uninstall", "--root", installed, "--dry-run")
    assert done.returncode == 5
    assert done.stderr.startswith("kleidi: E-INSTALL-IN-USE: ")
    assert str(installed / CONFIG) in done.stderr


def test_a_file_of_another_name_that_the_api_server_is_told_of_counts(tmp_path: Path) -> None:
    shutil.copytree(NODES / "named-elsewhere", tmp_path, dirs_exist_ok=True)
    install(tmp_path)
    put(tmp_path, CONFIG, configuration({"identity": {}}))
    done = kleidi("uninstall", "--root", tmp_path, "--dry-run")
    assert done.returncode == 5
    assert done.stderr.startswith("kleidi: E-INSTALL-IN-USE: ")
    assert str(tmp_path / "etc/kubernetes/enc/enc.yaml") in done.stderr
    assert len(done.stderr.splitlines()) == 1


HEAD = "kind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n"


@pytest.mark.parametrize(
    "endpoint",
    [
        "unix:///run/kleidi/kms.sock",
        "unix:///var/run/kleidi/kms.sock",
        "unix:///run//kleidi/kms.sock",
        "unix:////run/kleidi/kms.sock",
        "unix:///run/./kleidi/x/../kms.sock",
        "unix:/run/kleidi/kms.sock",
        "unix://var/run/kleidi/kms.sock",
        "UNIX:///run/kleidi/kms.sock",
        "unix:///run/kleidi/%6bms.sock",
        "unix:///run/kleidi/kms.sock?x=y",
        "unix:///srv/link/kms.sock",
        '"unix:///run/kleidi/kms.sock"',
        "'unix:///run/kleidi/kms.sock'",
        '"unix:///run/\\x6bleidi/kms.sock"',
        ">-\n        unix:///run/kleidi/kms.sock",
        "&e unix:///run/kleidi/kms.sock",
        "unix:///run/kleidi/kms.sock  # ours",
    ],
)
def test_every_spelling_of_our_endpoint_is_ours(installed: Path, endpoint: str) -> None:
    (installed / "srv").mkdir()
    (installed / "srv/link").symlink_to("/run/kleidi")
    put(installed, CONFIG, f"{HEAD}  - kms:\n      name: other\n      endpoint: {endpoint}\n")
    assert removal_fault(installed) is faults.INSTALL_IN_USE


@pytest.mark.parametrize(
    "text",
    [
        f'{HEAD}  - {{"kms": {{"name": "k", "endpoint": "unix:///run/kleidi/kms.sock"}}}}\n',
        "x: &e unix:///run/kleidi/kms.sock\n" + HEAD + "  - kms: {name: k, endpoint: *e}\n",
        "x: &e {endpoint: 'unix:///run/kleidi/kms.sock'}\n" + HEAD + "  - kms: {name: k, <<: *e}\n",
        json.dumps(
            configuration({"kms": {"name": "k", "endpoint": "unix:///run/kleidi/kms.sock"}}), indent="\t"
        ),
        f"{HEAD}  - kms: {{name: kleidi, endpoint: 'unix:///run/other.sock'}}\n",
    ],
    ids=["flow", "an alias", "a merge", "JSON", "our name"],
)
def test_every_form_of_the_document_is_read(installed: Path, text: str) -> None:
    put(installed, CONFIG, text)
    assert removal_fault(installed) is faults.INSTALL_IN_USE


@pytest.mark.parametrize(
    "endpoint",
    [
        "unix:///run/kleidi/kms.socket",
        "unix:///run/kleidi/kms.sock/x",
        "unix:///srv/run/kleidi/kms.sock",
        "unix:///@kleidi",
        "unix:run/kleidi/kms.sock",
        "unix:///run/kleidi/kms.sock%00",
        "https://run/kleidi/kms.sock",
        "unix://[/run/kleidi/kms.sock",
    ],
)
def test_another_endpoint_is_not(installed: Path, endpoint: str) -> None:
    put(installed, CONFIG, f"{HEAD}  - kms: {{name: other, endpoint: '{endpoint}'}}\n")
    assert removal_fault(installed) is None


def test_what_a_comment_names_is_not_needed(installed: Path) -> None:
    put(installed, CONFIG, f"{HEAD}  - identity: {{}}\n# - kms: unix:///run/kleidi/kms.sock\n")
    assert removal_fault(installed) is None


def test_the_endpoint_is_the_api_servers_path_and_the_socket_the_nodes(installed: Path) -> None:
    put(installed, "srv/enc.yaml", configuration({"kms": {"name": "k", "endpoint": "unix:///kms/kms.sock"}}))
    container = {
        "command": [f"{FLAG}=/enc/enc.yaml"],
        "volumeMounts": [{"name": "enc", "mountPath": "/enc"}, {"name": "kms", "mountPath": "/kms"}],
    }
    put(installed, POD, pod(container, enc="/srv", kms="/run/kleidi"))
    assert removal_fault(installed) is faults.INSTALL_IN_USE
    put(installed, POD, pod(container, enc="/srv", kms="/run/other"))
    assert removal_fault(installed) is None


def test_where_a_mount_of_rke2_leads_is_known(installed: Path) -> None:
    put(installed, "srv/enc.yaml", configuration({"kms": {"name": "k", "endpoint": "unix:///kms/kms.sock"}}))
    put(
        installed,
        "etc/rancher/rke2/config.yaml",
        "kube-apiserver-arg: [encryption-provider-config=/srv/enc.yaml]\n"
        "kube-apiserver-extra-mount: ['/run/kleidi:/kms:ro']\n",
    )
    assert removal_fault(installed) is faults.INSTALL_IN_USE


def test_a_configuration_that_cannot_be_read_is_not_taken_for_an_unused_one(installed: Path) -> None:
    put(installed, CONFIG, "resources: [\n")
    assert removal_fault(installed) is faults.INSTALL_UNREADABLE
    assert Node(installed).removal(Description(), force=True)


def test_a_node_that_never_held_a_key_needs_no_count(installed: Path) -> None:
    assert removal_fault(installed) is None


@pytest.mark.parametrize(
    "trace", ["var/lib/kleidi/generation-00000007.seal", "etc/kleidi/anchor.json", "etc/kleidi/seal.key.used"]
)
def test_one_that_did_is_removed_only_after_a_count_of_none(installed: Path, trace: str) -> None:
    (installed / trace).write_bytes(b"{}")
    assert removal_fault(installed) is faults.INSTALL_UNCOUNTED
    assert removal_fault(installed, stored=1) is faults.INSTALL_IN_USE
    assert removal_fault(installed, stored=0) is None
    assert Node(installed).removal(Description(), force=True)


def counted(tmp_path: Path, *rows: tuple[str, str, str, int], **more: object) -> Path:
    fields = {
        "schema": "kleidi.usage/v1",
        "complete": True,
        "whole_cluster": True,
        "damaged": 0,
        "key_id": "",
        "rows": [
            {"resource": "secrets", "kind": kind, "provider": provider, "key_id": key_id, "objects": objects}
            for kind, provider, key_id, objects in rows
        ],
        **more,
    }
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize(
    ("row", "more", "said"),
    [
        (("identity", "", "", 9), {}, ""),
        (("kms-v2", "vault", "k1", 9), {}, ""),
        (("kms-v2", "kleidi", "k1", 9), {}, "E-INSTALL-IN-USE"),
        (("kms-v2", "renamed", "kleidi/0123456789ab/v1/0123456789ab", 9), {}, "E-INSTALL-IN-USE"),
        (("kms-v2", "kleidi", "k1", 9), {"complete": False}, "E-INSTALL-IN-USE"),
        (("identity", "", "", 9), {"complete": False}, "E-INSTALL-UNCOUNTED"),
        (("identity", "", "", 9), {"whole_cluster": False}, "E-INSTALL-UNCOUNTED"),
        (("identity", "", "", 9), {"damaged": 1}, "E-INSTALL-UNCOUNTED"),
        (("identity", "", "", 9), {"key_id": "kleidi/0123456789ab/v1/0123456789ab"}, "E-INSTALL-UNCOUNTED"),
        (("identity", "", "", 9), {"schema": "kleidi.usage/v2"}, "E-USAGE-INVALID"),
    ],
)
def test_a_count_is_believed_as_far_as_it_goes(
    installed: Path, tmp_path: Path, row: tuple[str, str, str, int], more: dict[str, object], said: str
) -> None:
    seal(installed)
    usage = counted(tmp_path, row, **more)
    done = kleidi("uninstall", "--root", installed, "--usage", usage, "--dry-run")
    assert (f"kleidi: {said}: " in done.stderr) if said else (done.returncode == 0), done.stderr
    assert (done.returncode == 0) == (not said)


def test_the_count_is_checked_also_where_no_key_is_seen(installed: Path, tmp_path: Path) -> None:
    usage = counted(tmp_path, ("kms-v2", "kleidi", "k1", 9))
    done = kleidi("uninstall", "--root", installed, "--usage", usage)
    assert done.returncode == 5
    assert "9 stored objects" in done.stderr


@pytest.mark.parametrize("distribution", [Distribution.KUBEADM, Distribution.RKE2, Distribution.K3S])
def test_a_node_installed_for_the_wrong_role_is_installed_anew(
    tmp_path: Path, distribution: Distribution
) -> None:
    install(tmp_path, Role.JOIN, distribution)
    with pytest.raises(KleidiError, match="E-INSTALL-ROLE"):
        install(tmp_path, Role.FIRST, distribution)
    done = kleidi("uninstall", "--root", tmp_path)
    assert done.returncode == 0, done.stderr
    install(tmp_path, Role.FIRST, distribution)


def test_but_not_once_it_holds_keys_or_its_api_server_is_told_of_it(tmp_path: Path) -> None:
    install(tmp_path, Role.JOIN)
    put(tmp_path, POD, pod({"command": [f"{FLAG}=/{CONFIG}"]}))
    assert removal_fault(tmp_path) is faults.INSTALL_IN_USE
    (tmp_path / POD).unlink()
    assert removal_fault(tmp_path) is None
    seal(tmp_path)
    assert removal_fault(tmp_path) is faults.INSTALL_IN_USE


def test_a_dialled_path_is_all_that_counts_of_an_endpoint() -> None:
    assert dialled("unix://var/run/kms.sock") == "/run/kms.sock"
    assert dialled("unix:///a%20b?c#d") == "/a b"
    assert [dialled(text) for text in ("", "/run/kms.sock", "http:///a", "unix:a")] == ["", "", "", ""]
