"""Every manifest, decoded by the API server's own code: strictly, with nothing unknown and nothing twice."""

import subprocess
from pathlib import Path

import pytest

from appliance.manifests.description import Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.engines import Engine
from appliance.manifests.pod import static_pod
from tests import reference
from tests.conformance.secretserver import COMMAND_SECONDS, SecretServer

NODE_IMAGE = "registry.example:5000/kleidi/kleidi@sha256:" + 64 * "0"


def check(secretserver: SecretServer, *manifests: Path) -> subprocess.CompletedProcess[str]:
    command = [str(secretserver.path), "check-manifest", *map(str, manifests)]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)


def test_every_pod_that_is_checked_in_is_one(secretserver: SecretServer) -> None:
    pods = sorted(path for path in reference.MANIFESTS.rglob("*.yaml") if "kind: Pod\n" in path.read_text())
    assert len(pods) >= len(Role) * len(User)
    done = check(secretserver, *pods)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["kube-system/kleidi"] * len(pods)


@pytest.mark.parametrize("user", User)
@pytest.mark.parametrize("role", Role)
def test_every_variant_of_the_pod_is_one(
    secretserver: SecretServer, tmp_path: Path, role: Role, user: User
) -> None:
    described = Description(role, user, NODE_IMAGE, "other-name", sockets="/run/k/open", socket_group=4242)
    (tmp_path / "pod.yaml").write_text(static_pod(described))
    done = check(secretserver, tmp_path / "pod.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("engine", reference.ENGINES.values(), ids=reference.ENGINES)
@pytest.mark.parametrize("role", Role)
def test_the_pod_of_every_engine_is_one(
    secretserver: SecretServer, tmp_path: Path, role: Role, engine: Engine
) -> None:
    (tmp_path / "pod.yaml").write_text(static_pod(Description(role, engine=engine)))
    done = check(secretserver, tmp_path / "pod.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("distribution", Distribution)
def test_every_configuration_loads(
    secretserver: SecretServer, tmp_path: Path, distribution: Distribution
) -> None:
    texts = files(distribution, Description(provider="a.name-of-many-1"))
    [text] = [text for name, text in texts.items() if name.endswith("encryption-config.yaml")]
    (tmp_path / "encryption-config.yaml").write_text(text)
    loaded = secretserver.check_config(tmp_path / "encryption-config.yaml")
    # Nobody answers at that path here, which is no reason not to load.
    assert [line for line in loaded if line.startswith("resource ")] == ["resource secrets"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  hostNetwork: true", "  hostNetwrok: true", "unknown field"),
        ("  hostNetwork: true", "  hostNetwork: true\n  hostNetwork: true", "already set"),
        ("  priority: 2000001000", '  priority: "high"', "priority"),
        ("kind: Pod", "kind: Prod", "no kind"),
        ("    - name: token\n", "    - name: tokem\n", "no volume"),
        (
            "  restartPolicy: Always",
            "  restartPolicy: Always\n  serviceAccountName: kleidi",
            "ServiceAccount",
        ),
    ],
    ids=["misspelt", "twice", "of another type", "of no kind", "a mount of nothing", "an API reference"],
)
def test_the_check_would_notice(
    secretserver: SecretServer, tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = static_pod(Description())
    assert old in text
    (tmp_path / "pod.yaml").write_text(text.replace(old, new, 1))
    done = check(secretserver, tmp_path / "pod.yaml")
    assert done.returncode == 1
    assert words in done.stderr
