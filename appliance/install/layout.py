"""Where everything goes on a node, for each distribution. Pure: what is there already is not asked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.manifests import api_server, command, host, k3s, kubeadm, podman, relay, rke2
from appliance.manifests.description import Description
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.engines import EngineName

# kind's nodes are made and prepared by its own configuration file.
INSTALLABLE = (Distribution.KUBEADM, Distribution.RKE2, Distribution.K3S, Distribution.PODMAN)
# Every text of ours says so, and only such a text is ever replaced or removed.
OURS = "Written by `kleidi manifests`"
# By distribution: manifest, path on the node, mode. The last one is what starts the appliance.
_PLACES: dict[Distribution, tuple[tuple[str, str, int], ...]] = {
    Distribution.KUBEADM: (
        (command.NAME, command.PATH, 0o755),
        (host.TMPFILES_NAME, host.TMPFILES, 0o644),
        ("pod.yaml", f"{kubeadm.POD_DIRECTORY}/kleidi.yaml", 0o600),
    ),
    Distribution.RKE2: (
        (command.NAME, command.PATH, 0o755),
        (host.TMPFILES_NAME, host.TMPFILES, 0o644),
        ("config.yaml", rke2.CONFIG, 0o600),
        ("pod.yaml", rke2.MASTER_COPY, 0o600),
        ("rke2-server.conf", rke2.UNIT_DROP_IN, 0o644),
        ("pod.yaml", f"{rke2.POD_DIRECTORY}/kleidi.yaml", 0o600),
    ),
    Distribution.K3S: (
        (command.NAME, command.PATH, 0o755),
        ("config.yaml", k3s.CONFIG, 0o600),
        ("kleidi.container", podman.QUADLET, 0o644),
    ),
    Distribution.PODMAN: (
        (command.NAME, command.PATH, 0o755),
        ("kleidi.container", podman.QUADLET, 0o644),
    ),
}
# Who starts the appliance in a pod, which gets the TPM by a relay; podman hands over the device itself.
RELAYED = (Distribution.KUBEADM, Distribution.RKE2)


@dataclass(frozen=True)
class Place:
    path: str
    text: str
    mode: int
    gid: int = 0
    # Whether the appliance needs it. What it does without never stands in the way of an installation.
    needed: bool = True


@dataclass(frozen=True)
class Room:
    """A directory of the appliance's own; *keeps* says that the files in it belong to the same user."""

    path: str
    mode: int
    uid: int
    gid: int
    keeps: bool = True
    # Whether it is made where there is none.
    needed: bool = True


def rooms(distribution: Distribution, described: Description) -> Iterator[Room]:
    yield Room(described.volume, 0o700, described.uid, described.uid)
    yield Room(described.secrets, 0o700, described.uid, described.uid)
    for name in EngineName:
        if name is not EngineName.SOFTHSM:
            path, wanted = f"{described.secrets}/{name}", name is described.engine.name
            yield Room(path, 0o700, described.uid, described.uid, needed=wanted)
    yield Room(described.config, 0o755, 0, 0, keeps=False)
    # The sockets go with the one who bound them; their lock files stay, and shut out whoever comes next.
    yield Room(described.sockets, 0o750, described.uid, described.socket_gid)
    yield Room(described.admin, 0o700, described.uid, described.uid)
    if described.tpm is not None and distribution in RELAYED:
        yield Room(relay.DIRECTORY, 0o750, 0, described.uid, keeps=False)


def configuration(described: Description) -> Place:
    """Apart from the rest: operators edit it, and what they wrote may be needed to read their Secrets."""
    text = api_server.configuration(described)
    if described.socket_group is None:
        return Place(described.encryption_config, text, 0o600)
    return Place(described.encryption_config, text, 0o640, described.socket_group)


def places(distribution: Distribution, described: Description) -> Iterator[Place]:
    texts = files(distribution, described)
    relayed = relay.PLACES if described.tpm is not None and distribution in RELAYED else ()
    for name, path, mode in (*relayed, *_PLACES[distribution]):
        yield Place(path, texts[name], mode, needed=needed(path))


def needed(path: str) -> bool:
    return path != command.PATH


def every_path() -> list[str]:
    """All that any distribution's installation may have put on a node, what starts the appliance first."""
    paths = [path for places in (*_PLACES.values(), relay.PLACES) for _, path, _ in reversed(places)]
    return list(dict.fromkeys(paths))


def to_bring(distribution: Distribution, described: Description) -> Iterator[str]:
    """In lines, what is left to an operator: nothing of ours moves another's secret, or calls systemd."""
    engine = described.engine
    if engine.brought:
        yield f"Put into {described.brought}, owned by user {described.uid}:"
        width = max(len(each.name) for each in engine.brought)
        yield from (f"  {each.name:{width}} {each.mode:04o}  {each.about}" for each in engine.brought)
    match engine.name:
        case EngineName.TRANSIT:
            yield "`kleidi transit check` then tries all of it from here; see docs/vault.md."
            yield (
                "Every node of a cluster that begins there may be --first: each takes up the Transit key's "
                "latest version, finds the others' when it is asked for them, and nothing is carried."
            )
        case EngineName.PKCS11:
            yield from (f"{path} is shown to the appliance, read-only." for path in engine.shown)
            yield "`kleidi hsm check` then tries the token from here; see docs/hsm.md."
        case _:
            pass
    if described.tpm is not None and distribution in RELAYED:
        yield (
            "The TPM's relay starts with the machine; for now: `systemctl daemon-reload`, then "
            "`systemctl restart kleidi-tpm.socket`. See docs/tpm.md."
        )


def left_running(removed: Iterable[str]) -> Iterator[str]:
    """In lines, what goes on without its files until somebody ends it."""
    if any(path.endswith("/kleidi-tpm.socket") for path in removed):
        yield "Run `systemctl stop kleidi-tpm.socket`, then `systemctl daemon-reload`."


def next_steps(distribution: Distribution, described: Description) -> str:
    lines = "\n".join(f"  {flag}" for flag in api_server.flags(described))
    match distribution:
        case Distribution.KUBEADM:
            shown = " and ".join(mount.path for mount in api_server.mounts(described))
            return (
                f"Add to kube-apiserver:\n{lines}\nand show it {shown}, read-only. "
                "`kleidi manifests kubeadm` has both as a ClusterConfiguration; see docs/kubeadm.md."
            )
        case Distribution.RKE2:
            return f"{rke2.CONFIG} gives kube-apiserver:\n{lines}\nRestart rke2-server; see docs/rke2.md."
        case Distribution.K3S:
            return (
                f"{k3s.CONFIG} gives kube-apiserver:\n{lines}\n"
                "Run `systemctl daemon-reload`, start kleidi.service, then restart k3s; see docs/k3s.md."
            )
        case _:
            return (
                f"Add to kube-apiserver:\n{lines}\n"
                "Run `systemctl daemon-reload` and start kleidi.service; see docs/podman.md."
            )
