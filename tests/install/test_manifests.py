"""What any variant must hold, read as those read it who act on it."""

import itertools
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from appliance.manifests import relay
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.pod import static_pod
from tests import reference
from tests.install.texts import Json, read, unit

VARIANTS = [
    Description(role, user, image, provider)
    for role, user, (image, provider) in itertools.product(
        Role, User, [("localhost/kleidi:1", "kleidi"), ("registry.example/kleidi@sha256:0a", "other-name")]
    )
]
CUSTOM = Description(
    volume="/srv/k/volume",
    secrets="/srv/k/secrets",
    config="/srv/k/config",
    sockets="/run/k/open",
    admin="/run/k/admin",
)
ENGINES = [
    replace(CUSTOM, role=role, engine=engine) for role in Role for engine in reference.ENGINES.values()
]
variants = pytest.mark.parametrize(
    "described",
    [*VARIANTS, CUSTOM, *ENGINES, reference.GIVEN_TPM],
    ids=[
        *(f"{v.role}-{v.user}-{v.provider}" for v in VARIANTS),
        "directories of its own",
        *(f"{role}-{name}" for role in Role for name in reference.ENGINES),
        "tpm",
    ],
)
# kubeadm: HostPathMount of cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go.
HOST_PATH_MOUNT = {"name", "hostPath", "mountPath", "readOnly", "pathType"}
# kind: Mount of pkg/apis/config/v1alpha4/types.go.
KIND_MOUNT = {"hostPath", "containerPath", "readOnly", "selinuxRelabel", "propagation"}


def kubeadm_mounts(configuration: Json) -> set[tuple[str, str]]:
    volumes = configuration["apiServer"]["extraVolumes"]
    assert all(set(volume) <= HOST_PATH_MOUNT for volume in volumes)
    assert all(volume["readOnly"] is True for volume in volumes)
    assert all(volume["hostPath"] == volume["mountPath"] for volume in volumes)
    return {(volume["hostPath"], volume["mountPath"]) for volume in volumes}


def kubeadm_arguments(configuration: Json) -> dict[str, str]:
    given = configuration["apiServer"]["extraArgs"]
    if configuration["apiVersion"].endswith("v1beta3"):
        return dict(given)
    assert all(set(argument) == {"name", "value"} for argument in given)
    return {argument["name"]: argument["value"] for argument in given}


def patches(cluster: Json) -> list[Json]:
    return [read(text) for node in cluster["nodes"] for text in node["kubeadmConfigPatches"]]


def shown(distribution: Distribution, described: Description) -> tuple[dict[str, str], set[str]]:
    """The arguments of an API server and the host's directories it sees."""
    texts = files(distribution, described)
    if distribution in (Distribution.KUBEADM, Distribution.KIND):
        configurations = (
            patches(read(texts["cluster.yaml"]))
            if distribution is Distribution.KIND
            else [read(text) for name, text in texts.items() if name.startswith("cluster-")]
        )
        found = [(kubeadm_arguments(c), {path for path, _ in kubeadm_mounts(c)}) for c in configurations]
        assert len(found) == 2
        assert found[0] == found[1]
        return found[0]
    config = read(texts["config.yaml"])
    arguments = dict(argument.split("=", 1) for argument in config["kube-apiserver-arg+"])
    if distribution is Distribution.K3S:  # a process of the host
        return arguments, {described.config, described.sockets}
    mounts = {tuple(mount.split(":")) for mount in config["kube-apiserver-extra-mount+"]}
    assert all(source == target and mode == "ro" for source, target, mode in mounts)
    # RKE2 mounts a file that an argument names (rancher/rke2, pkg/executor/staticpod/staticpod.go).
    files_named = {str(PurePosixPath(value).parent) for value in arguments.values() if value.startswith("/")}
    return arguments, {source for source, _, _ in mounts} | files_named


@variants
@pytest.mark.parametrize("distribution", [d for d in Distribution if d is not Distribution.PODMAN])
def test_the_api_server_sees_socket_and_configuration_and_nothing_else(
    described: Description, distribution: Distribution
) -> None:
    arguments, directories = shown(distribution, described)
    assert directories == {described.sockets, described.config}
    assert arguments == {
        "encryption-provider-config": described.encryption_config,
        "encryption-provider-config-automatic-reload": "true",
    }
    secret = [PurePosixPath(path) for path in (described.volume, described.secrets, described.admin)]
    for directory in map(PurePosixPath, directories):
        assert not [kept for kept in secret if kept.is_relative_to(directory)]


@variants
@pytest.mark.parametrize("distribution", Distribution)
def test_its_configuration_names_the_socket_that_the_appliance_serves(
    described: Description, distribution: Distribution
) -> None:
    texts = files(distribution, described)
    name = next(name for name in texts if name.endswith("encryption-config.yaml"))
    kms = read(texts[name])["resources"][0]["providers"][0]["kms"]
    assert kms["name"] == described.provider
    assert PurePosixPath(kms["endpoint"].removeprefix("unix://")).parent == PurePosixPath(described.sockets)


@variants
def test_a_pod_is_what_a_control_plane_node_needs(described: Description) -> None:
    spec = read(static_pod(described))["spec"]
    assert (spec["hostNetwork"], spec["priorityClassName"], spec["priority"]) == (
        True,
        "system-node-critical",
        2000001000,
    )
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    assert spec["terminationGracePeriodSeconds"] == 20
    assert "initContainers" not in spec
    [container] = spec["containers"]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "cpu" not in container["resources"]["limits"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        question = "--ready" if probe == "readinessProbe" else "--live"
        assert container[probe]["exec"]["command"] == ["kleidi-probe", question]


@variants
def test_a_pod_never_makes_its_volume_and_keeps_the_token_in_memory(described: Description) -> None:
    spec = read(static_pod(described))["spec"]
    volumes: dict[str, Any] = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["/var/lib/kleidi"]["hostPath"] == {"path": described.volume, "type": "Directory"}
    assert mounts["/etc/kleidi"]["hostPath"] == {"path": described.secrets, "type": "Directory"}
    assert mounts["/dev/shm/kleidi"]["emptyDir"]["medium"] == "Memory"  # noqa: S108
    assert mounts[described.sockets]["hostPath"]["path"] == described.sockets
    assert all(set(volume) - {"name"} <= {"hostPath", "emptyDir"} for volume in volumes.values())
    assert len(mounts) == len(volumes)


@variants
def test_only_the_first_node_may_make_a_key(described: Description) -> None:
    expected = {"auto"} if described.role is Role.FIRST else {"join"}
    for distribution in Distribution:
        texts = "".join(files(distribution, described).values())
        said = re.findall(r"KLEIDI_PROVISION\W+(?:value\W+)?(\w+)", texts)
        assert set(said) == expected, distribution


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        (User.ROOT, {"runAsUser": 0, "runAsGroup": 0}),
        (User.NONROOT, {"runAsNonRoot": True, "runAsUser": IMAGE_USER, "runAsGroup": IMAGE_USER}),
    ],
)
def test_a_pod_runs_as_the_user_it_is_for(user: User, identity: Json) -> None:
    spec = read(static_pod(Description(user=user)))["spec"]
    assert {
        key: value for key, value in spec["securityContext"].items() if key != "seccompProfile"
    } == identity
    kinds = {v["name"]: v["hostPath"]["type"] for v in spec["volumes"] if "hostPath" in v}
    # A directory that the kubelet makes is root's, and nobody else could write in it.
    assert kinds["sockets"] == ("DirectoryOrCreate" if user is User.ROOT else "Directory")


def test_the_image_is_built_with_the_user_that_manifests_name() -> None:
    containerfile = (reference.CHECKOUT / "Containerfile").read_text()
    assert f"USER {IMAGE_USER}:{IMAGE_USER}" in containerfile


@variants
def test_a_kind_cluster_mounts_only_files_that_are_written_beside_it(described: Description) -> None:
    texts = files(Distribution.KIND, described)
    [node] = read(texts["cluster.yaml"])["nodes"]
    known = {f"./{name.split('/')[0]}" for name in texts} | {"./kleidi.tar"}
    # And what an operator has or puts there for an engine (test_engines.py).
    known |= {f"./{described.engine.name}", *described.engine.shown}
    known |= {relay.DIRECTORY} if described.tpm else set()
    targets = {mount["containerPath"]: mount["hostPath"] for mount in node["extraMounts"]}
    assert all(set(mount) <= KIND_MOUNT for mount in node["extraMounts"])
    assert set(targets.values()) <= known
    assert targets[described.config] == "./config"
    started = {key: value for _, key, value in unit(texts["containerd.conf"]) if key != "ExecStartPre"}
    assert started["ExecStartPost"].startswith("-")
    assert started["ExecStartPost"].split()[-1] in targets
    made = [v.split() for _, key, v in unit(texts["containerd.conf"]) if key == "ExecStartPre"]
    assert {path for words in made for path in words if path.startswith("/") and "bin" not in path} == {
        described.volume,
        described.secrets,
        described.admin,
        described.sockets,
    }


def test_kind_finds_its_patch_by_version() -> None:
    texts = files(Distribution.KIND, Description())
    versions = [patch["apiVersion"] for patch in patches(read(texts["cluster.yaml"]))]
    assert versions == ["kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3"]


@variants
def test_a_quadlet_is_as_shut_as_the_pod(described: Description) -> None:
    lines = unit(files(Distribution.PODMAN, described)["kleidi.container"])
    container = {key: value for section, key, value in lines if section == "Container"}
    assert container["DropCapability"] == "all"
    network = "host" if described.engine.network else "none"
    assert (container["ReadOnly"], container["NoNewPrivileges"], container["Network"]) == (
        "true",
        "true",
        network,
    )
    assert container["User"] == f"{described.uid}:{described.uid}"
    volumes = {v.split(":")[0] for section, key, v in lines if (section, key) == ("Container", "Volume")}
    own = {described.volume, described.secrets, described.sockets, described.admin}
    assert volumes == own | {*described.engine.shown}


def test_k3s_comes_after_us_and_outlives_us() -> None:
    lines = unit(files(Distribution.K3S, Description())["kleidi.container"])
    assert ("Unit", "Before", "k3s.service") in lines
    assert ("Install", "WantedBy", "multi-user.target k3s.service") in lines


def test_a_compose_file_is_as_shut_as_the_pod() -> None:
    [service] = read(files(Distribution.PODMAN, Description())["compose.yaml"])["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["network_mode"] == "none"


@pytest.mark.parametrize(
    "value",
    ["a b", "a\nb", 'a"', "a: b", "", "a#b", "{a}", "$a", "a:", "é", "%a"],
    ids=repr,
)
@pytest.mark.parametrize("name", ["image", "provider", "volume", "sockets"])
def test_a_value_that_yaml_or_systemd_would_read_otherwise_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="otherwise"):
        replace(Description(), **{name: f"/{value}" if name in ("volume", "sockets") and value else value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["true", "no", "1", "-a", "A", "a:b", "a" * 101])
def test_a_provider_name_that_somebody_might_not_read_as_text_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|otherwise"):
        Description(provider=name)


@pytest.mark.parametrize("directory", ["srv", "/srv/", "/srv/../etc", "/a:b"])
def test_a_directory_with_a_second_reading_is_refused(directory: str) -> None:
    with pytest.raises(ValueError, match=r"shortest form|otherwise"):
        Description(volume=directory)


@pytest.mark.parametrize(
    "places",
    [
        {"sockets": "/etc/kleidi"},
        {"config": "/etc"},
        {"config": "/etc/kleidi/apiserver"},
        {"admin": "/run/kleidi/admin"},
        {"volume": "/run/kleidi"},
    ],
    ids=str,
)
def test_a_layout_that_would_show_a_secret_to_the_api_server_is_refused(places: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="apart from"):
        Description(**places)  # type: ignore[arg-type]


def test_the_manifests_that_are_checked_in_are_the_generated_ones() -> None:
    expected = reference.manifests()
    found = {path: path.read_text() for path in reference.MANIFESTS.rglob("*") if path.is_file()}
    assert found == expected, "run `python -m tests.reference`"
