"""`kleidi install` on a node whose API server encrypts already: what was written before stays readable."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import node
from appliance.install.before import Before
from appliance.install.node import Node
from appliance.install.steps import Keep, Write
from appliance.manifests.description import Description, Role
from appliance.manifests.distribution import Distribution
from tests.install.texts import read
from tests.reference import CHECKOUT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")

NODES = CHECKOUT / "tests/install/nodes"
FIRST = Description(Role.FIRST)
CONFIG = "etc/kubernetes/kleidi/encryption-config.yaml"
POD = "etc/kubernetes/manifests/kube-apiserver.yaml"
AESCBC = {"aescbc": {"keys": [{"name": "key1", "secret": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}]}}
IDENTITY: dict[str, Any] = {"identity": {}}
ENC = "/etc/kubernetes/enc/enc.yaml"


def put(root: Path, path: str, text: object) -> None:
    """A file of the node; whatever is no text becomes JSON."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text if isinstance(text, str) else json.dumps(text))


def configuration(*providers: Any, resources: tuple[str, ...] = ("secrets",)) -> dict[str, Any]:  # noqa: ANN401
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": list(resources), "providers": list(providers)}],
    }


def pod(*containers: dict[str, Any], **volumes: str) -> dict[str, Any]:
    """A static pod with the host's directories by the names of the volumes."""
    found = [{"name": name, "hostPath": {"path": path}} for name, path in volumes.items()]
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": list(containers), "volumes": found}}


def install(
    root: Path, policy: Before = Before.REFUSE, distribution: Distribution = Distribution.KUBEADM
) -> list[Any]:
    steps = Node(root).installation(distribution, FIRST, policy)
    node.apply(steps)
    return steps


def refused(root: Path, distribution: Distribution = Distribution.KUBEADM) -> KleidiError:
    """The refusal of an installation that must not have written anything."""
    before = sorted(root.rglob("*"))
    with pytest.raises(KleidiError) as caught:
        install(root, distribution=distribution)
    assert sorted(root.rglob("*")) == before
    return caught.value


def providers(root: Path) -> list[Any]:
    """Ours, as the API server would read it: the first entry's."""
    entry = read((root / CONFIG).read_text())["resources"][0]
    assert "secrets" in entry["resources"]
    return list(entry["providers"])


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NODES / "encrypted", tmp_path / "encrypted"))


def test_a_node_that_encrypts_already_is_refused_and_told_with_what(encrypted: Path) -> None:
    error = refused(encrypted)
    assert error.fault is faults.INSTALL_ENCRYPTED
    assert str(encrypted / "etc/kubernetes/enc/enc.yaml") in error.detail
    assert "aescbc key1" in error.detail
    assert "MDEy" not in str(error)


def test_its_providers_are_taken_over_behind_ours(encrypted: Path) -> None:
    install(encrypted, Before.TAKE_OVER)
    first, *rest = providers(encrypted)
    assert first["kms"]["endpoint"] == "unix:///run/kleidi/kms.sock"
    assert rest == [AESCBC, IDENTITY]
    assert (encrypted / CONFIG).stat().st_mode & 0o777 == 0o600


def test_once_taken_over_nothing_is_refused_any_more_and_ours_is_not_written_anew(encrypted: Path) -> None:
    install(encrypted, Before.TAKE_OVER)
    before = (encrypted / CONFIG).read_text()
    for policy in (Before.REFUSE, Before.TAKE_OVER):
        assert not [step for step in install(encrypted, policy) if not isinstance(step, Keep)]
    assert (encrypted / CONFIG).read_text() == before


def test_who_sees_to_it_himself_gets_ours_alone(encrypted: Path) -> None:
    install(encrypted, Before.IGNORE)
    assert providers(encrypted)[1:] == [IDENTITY]


def test_ours_that_an_earlier_installation_wrote_alone_is_replaced_by_one_that_reads_all(
    encrypted: Path,
) -> None:
    install(encrypted, Before.IGNORE)
    assert refused(encrypted).fault is faults.INSTALL_ENCRYPTED
    [step] = install(encrypted, Before.TAKE_OVER)
    assert isinstance(step, Write)
    assert providers(encrypted)[1:] == [AESCBC, IDENTITY]


def test_ours_that_was_edited_is_never_replaced(encrypted: Path) -> None:
    install(encrypted, Before.IGNORE)
    edited = (encrypted / CONFIG).read_text() + "# mine\n"
    (encrypted / CONFIG).write_text(edited)
    with pytest.raises(KleidiError) as caught:
        install(encrypted, Before.TAKE_OVER)
    assert caught.value.fault is faults.INSTALL_ENCRYPTED
    assert (encrypted / CONFIG).read_text() == edited


FLAG = "--encryption-provider-config"
# As k3s's installer writes it.
UNIT = f"""\
[Service]
ExecStart=/usr/local/bin/k3s \\
    server \\
\t'--kube-apiserver-arg=encryption-provider-config={ENC}' \\

"""


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["kube-apiserver", f"{FLAG}={ENC}"]},
        {"command": ["kube-apiserver", FLAG, ENC]},
        {"command": ["kube-apiserver"], "args": [f"{FLAG}={ENC}"]},
        {"command": ["/bin/sh", "-c", f"exec kube-apiserver --v=2 {FLAG}={ENC} 2>&1"]},
        {
            "command": ["kube-apiserver", f"{FLAG}=/in/side/enc.yaml"],
            "volumeMounts": [
                {"name": "other", "mountPath": "/in"},
                {"name": "enc", "mountPath": "/in/side/"},
            ],
        },
        {
            "command": ["kube-apiserver", f"{FLAG}=/enc.yaml"],
            "volumeMounts": [{"name": "enc", "mountPath": "/enc.yaml", "subPath": "enc.yaml"}],
        },
    ],
    ids=["=", "a word of its own", "args", "a shell", "mounted elsewhere", "one file mounted"],
)
@pytest.mark.parametrize("form", ["JSON", "YAML"])
def test_the_option_is_found_however_a_pod_gives_it(
    tmp_path: Path, container: dict[str, Any], form: str
) -> None:
    found = pod({"command": ["sidecar"]}, container, enc="/etc/kubernetes/enc", other="/srv/other")
    text = json.dumps(found, indent="\t")
    put(tmp_path, POD, text if form == "JSON" else "---\n" + text.replace("\t", "  "))
    put(tmp_path, ENC, configuration(AESCBC, IDENTITY))
    error = refused(tmp_path)
    assert error.fault is faults.INSTALL_ENCRYPTED
    assert ENC in error.detail


@pytest.mark.parametrize("form", ["list", "map"])
def test_a_cluster_configuration_that_was_left_on_the_node_counts(tmp_path: Path, form: str) -> None:
    name, path = FLAG.removeprefix("--"), "/k/enc.yaml"
    server = {
        "extraArgs": [{"name": name, "value": path}] if form == "list" else {name: path},
        "extraVolumes": [{"name": "enc", "hostPath": "/etc/kubernetes/enc", "mountPath": "/k"}],
    }
    put(
        tmp_path,
        "etc/kubernetes/kubeadm.yaml",
        'kind: InitConfiguration\nnodeRegistration: {name: "encryption-provider-config"}\n---\n'
        + json.dumps({"kind": "ClusterConfiguration", "apiServer": server}),
    )
    put(tmp_path, ENC, configuration(AESCBC))
    assert refused(tmp_path).fault is faults.INSTALL_ENCRYPTED


@pytest.mark.parametrize(
    ("path", "text", "where"),
    [
        ("etc/rancher/rke2/config.yaml", f"kube-apiserver-arg: encryption-provider-config={ENC}\n", ENC),
        (
            "etc/rancher/k3s/config.yaml.d/10-enc.yaml",
            f"kube-apiserver-arg+:\n- v=2\n- encryption-provider-config={ENC}\n",
            ENC,
        ),
        (
            "etc/systemd/system/k3s.service",
            UNIT,
            ENC,
        ),
        (
            "etc/systemd/system/kube-apiserver.service",
            f"[Service]\nExecStart=/usr/local/bin/kube-apiserver \\\n  {FLAG}={ENC} \\\n  --v=2\n",
            ENC,
        ),
        (
            "etc/rancher/rke2/config.yaml",
            "data-dir: /srv/rke2\n",
            "srv/rke2/server/cred/encryption-config.json",
        ),
        ("etc/rancher/k3s/x", "", "var/lib/rancher/k3s/server/cred/encryption-config.json"),
        ("etc/rancher/rke2/x", "", "var/lib/rancher/rke2/server/cred/encryption-config.json"),
    ],
    ids=["RKE2", "k3s drop-in", "k3s unit", "by hand", "RKE2 elsewhere", "k3s alone", "RKE2 alone"],
)
def test_what_other_distributions_are_told_counts(tmp_path: Path, path: str, text: str, where: str) -> None:
    put(tmp_path, path, text)
    put(tmp_path, where, configuration(AESCBC, IDENTITY))
    error = refused(tmp_path)
    assert error.fault is faults.INSTALL_ENCRYPTED
    assert where in error.detail
    install(tmp_path, Before.TAKE_OVER)
    assert providers(tmp_path)[1:] == [AESCBC, IDENTITY]


def test_secrets_encryption_that_k3s_has_not_begun_is_refused_before_it_does(tmp_path: Path) -> None:
    put(tmp_path, "etc/rancher/k3s/config.yaml", "secrets-encryption: true\n")
    error = refused(tmp_path, Distribution.K3S)
    assert error.fault is faults.INSTALL_ENCRYPTED
    assert "secrets-encryption" in error.detail
    put(tmp_path, "etc/rancher/k3s/config.yaml", "secrets-encryption: false\n")
    install(tmp_path, distribution=Distribution.K3S)


@pytest.mark.parametrize("distribution", [Distribution.RKE2, Distribution.K3S])
def test_an_upgrade_is_not_held_up_by_the_key_that_our_argument_has_replaced(
    tmp_path: Path, distribution: Distribution
) -> None:
    install(tmp_path, distribution=distribution)
    put(
        tmp_path,
        f"var/lib/rancher/{distribution}/server/cred/encryption-config.json",
        configuration(AESCBC, IDENTITY),
    )
    assert install(tmp_path, distribution=distribution) == []


@pytest.mark.parametrize(
    "text",
    [
        configuration(IDENTITY),
        configuration(
            {"kms": {"apiVersion": "v2", "name": "k", "endpoint": "unix:///var/run//kleidi/kms.sock"}}
        ),
    ],
    ids=["nothing is encrypted", "our socket"],
)
def test_what_encrypts_nothing_or_by_us_is_no_reason_to_refuse(tmp_path: Path, text: object) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    put(tmp_path, ENC, text)
    install(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (configuration(AESCBC, resources=("configmaps", "secrets")), [["kms", "aescbc"]]),
        (configuration(IDENTITY, AESCBC), [["kms", "identity", "aescbc"]]),
        (configuration(AESCBC, resources=("configmaps",)), [["kms", "identity"], ["aescbc"]]),
        (
            configuration(AESCBC, IDENTITY, resources=("*.*",)),
            [["kms", "aescbc", "identity"], ["aescbc", "identity"]],
        ),
        (configuration({"kms": {"name": "other"}}, IDENTITY), [["kms", "kms", "identity"]]),
    ],
    ids=["with others", "being decrypted", "others only", "everything", "another plugin"],
)
def test_every_form_of_it_is_taken_over_whole(
    tmp_path: Path, before: dict[str, Any], after: list[list[str]]
) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    put(tmp_path, ENC, before)
    install(tmp_path, Before.TAKE_OVER)
    entries = read((tmp_path / CONFIG).read_text())["resources"]
    assert [[kind for each in entry["providers"] for kind in each] for entry in entries] == after
    assert (
        next(entry for entry in entries if "secrets" in entry["resources"])["providers"][0]["kms"]["name"]
        == "kleidi"
    )
    kept = [each for entry in entries for each in entry["providers"]]
    assert all(each in kept for each in before["resources"][0]["providers"])


@pytest.mark.parametrize(
    "before",
    [
        configuration({"kms": {"name": "other"}}, resources=("*.*",)),
        configuration(AESCBC, {"kms": {"name": "kleidi", "endpoint": "unix:///run/another/kms.sock"}}),
    ],
    ids=["a plugin for everything", "another plugin of our name"],
)
def test_what_the_api_server_would_refuse_behind_ours_is_not_written(
    tmp_path: Path, before: dict[str, Any]
) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    put(tmp_path, ENC, before)
    with pytest.raises(KleidiError) as caught:
        install(tmp_path, Before.TAKE_OVER)
    assert caught.value.fault is faults.INSTALL_ENCRYPTED
    assert not (tmp_path / CONFIG).exists()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(9 * [f'*{chr(97 + n)}'])}]\n" for n in range(8)
)
MERGED = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{','.join(9 * [f'*{chr(97 + n)}'])}]}}\n" for n in range(8)
)


@pytest.mark.parametrize(
    "text",
    [
        "kind: EncryptionConfiguration\nkind: EncryptionConfiguration\n",
        "kind: EncryptionConfiguration\n---\nkind: EncryptionConfiguration\n",
        "kind: [EncryptionConfiguration\n",
        "kind: Pod\n",
        "- kind: EncryptionConfiguration\n",
        '{"kind": "EncryptionConfiguration", "kind": "Pod"}',
        "\x00",
        "",
        100_000 * "[",
        BOMB,
        MERGED,
        "a: &a [*a]\n",
        "kind: 2001-99-99\n",
        f"kind: {'9' * 5000}\n",
        f"kind: EncryptionConfiguration\n#{1024 * 1024 * 'x'}\n",
    ],
    ids=[
        "a key twice",
        "two documents",
        "not YAML",
        "a pod",
        "a list",
        "a key twice in JSON",
        "no text",
        "nothing",
        "deep",
        "a bomb",
        "a bomb of merges",
        "its own alias",
        "no date",
        "a large number",
        "large",
    ],
)
def test_what_cannot_be_read_as_the_api_server_reads_it_is_a_fault_with_its_path(
    tmp_path: Path, text: str
) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    put(tmp_path, ENC, text)
    error = refused(tmp_path)
    assert error.fault is faults.INSTALL_UNREADABLE
    assert ENC in error.detail
    install(tmp_path, Before.IGNORE)


def test_a_file_that_is_named_and_not_there_is_a_fault_with_both_paths(tmp_path: Path) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    error = refused(tmp_path)
    assert error.fault is faults.INSTALL_UNREADABLE
    assert ENC in error.detail
    assert POD in error.detail


def test_a_fifo_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    put(tmp_path, POD, pod({"command": [f"{FLAG}={ENC}"]}))
    (tmp_path / ENC.lstrip("/")).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / ENC.lstrip("/"))
    os.mkfifo(tmp_path / "etc/kubernetes/manifests/pipe.yaml")
    assert refused(tmp_path).fault is faults.INSTALL_UNREADABLE


def test_links_are_followed_as_the_node_follows_them_and_not_out_of_its_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "node", tmp_path / "outside"
    put(root, POD, pod({"command": [f"{FLAG}=/etc/kubernetes/enc/current"]}))
    put(root, "srv/enc/enc.yaml", configuration(AESCBC))
    put(outside, "enc.yaml", configuration(IDENTITY))
    (root / "etc/kubernetes/enc").symlink_to("/../srv/enc")
    (root / "srv/enc/current").symlink_to("enc.yaml")
    error = refused(root)
    assert error.fault is faults.INSTALL_ENCRYPTED
    assert str(root / "srv/enc/enc.yaml") in error.detail
    (root / "srv/enc/current").unlink()
    (root / "srv/enc/current").symlink_to(f"../../../{outside.name}/enc.yaml")
    assert refused(root).fault is faults.INSTALL_UNREADABLE
    (root / "srv/enc/current").unlink()
    (root / "srv/enc/current").symlink_to("current")
    assert refused(root).fault is faults.INSTALL_UNREADABLE


def test_a_manifest_of_something_else_is_not_judged(tmp_path: Path) -> None:
    put(tmp_path, "etc/kubernetes/manifests/other.yaml", "{% template %}\n")
    put(tmp_path, "etc/kubernetes/notes.yaml", "\t- no YAML")
    install(tmp_path)
