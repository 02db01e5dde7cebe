"""kind: a cluster that is encrypted from its first Secret on.

The image must be on the node before the API server is, and `kind load` comes after. So the node gets the
archive as a mount, and containerd imports it while it starts: the kubelet starts only later, inside kubeadm.
"""

import textwrap
from collections.abc import Iterator
from string import Template

from appliance.manifests import api_server, relay
from appliance.manifests.description import CONFIG_NAME, Description
from appliance.manifests.kubeadm import POD_DIRECTORY, VERSIONS, cluster_configuration
from appliance.manifests.pod import static_pod

ARCHIVE = "kleidi.tar"
_IN_NODE = f"/kind/{ARCHIVE}"

_CLUSTER = Template("""\
# $headline
# Run `kind create cluster --config cluster.yaml` in this directory, with the image's archive as $archive.
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
$more  - hostPath: ./config
    containerPath: $config
    readOnly: true
  - hostPath: ./pod.yaml
    containerPath: $pods/kleidi.yaml
    readOnly: true
  - hostPath: ./$archive
    containerPath: $in_node
    readOnly: true
  - hostPath: ./containerd.conf
    containerPath: /etc/systemd/system/containerd.service.d/10-kleidi.conf
    readOnly: true
  # Kubernetes 1.36 and later read the first patch, earlier ones the second; the other one matches nothing.
  kubeadmConfigPatches:
""")

_MOUNT = """\
  - hostPath: {source}
    containerPath: {target}
    readOnly: true
"""

_CONTAINERD = Template("""\
# $headline
[Service]
# kind's nodes do not run systemd-tmpfiles (its images/base/Dockerfile), so the directories are made here.
ExecStartPre=/usr/bin/install -d -m 0700 -o $uid -g $uid $volume $secrets $admin
ExecStartPre=/usr/bin/install -d -m 0750 -o $uid -g $gid $sockets
# Pinned, or the kubelet might remove it as unused. Where it fails, containerd starts and the pod does not.
ExecStartPost=-/usr/local/bin/ctr --namespace=k8s.io images import --all-platforms --digests $pinned $in_node
""")


def files(described: Description) -> dict[str, str]:
    return {
        "cluster.yaml": _cluster(described),
        "containerd.conf": _CONTAINERD.substitute(
            headline=described.headline,
            uid=described.uid,
            gid=described.socket_gid,
            volume=described.volume,
            secrets=described.secrets,
            admin=described.admin,
            sockets=described.sockets,
            pinned="--label=io.cri-containerd.pinned=pinned",
            in_node=_IN_NODE,
        ),
        "pod.yaml": static_pod(described),
        f"config/{CONFIG_NAME}": api_server.configuration(described),
    }


def _cluster(described: Description) -> str:
    text = _CLUSTER.substitute(
        headline=described.headline,
        archive=ARCHIVE,
        in_node=_IN_NODE,
        config=described.config,
        pods=POD_DIRECTORY,
        more="".join(_mounted(described)),
    )
    for version in VERSIONS:
        text += "  - |\n" + textwrap.indent(cluster_configuration(described, version), "    ")
    return text


def _mounted(described: Description) -> Iterator[str]:
    """Into the node, for the pod to be mounted from there."""
    if described.engine.brought:
        yield f"  # {described.engine.beside(described.uid)}\n"
        yield _MOUNT.format(source=f"./{described.engine.name}", target=described.brought)
    for path in described.engine.shown:
        yield _MOUNT.format(source=path, target=path)
    if described.tpm is not None:
        yield "  # A relay of the machine that kind runs on, or a software TPM's socket (docs/tpm.md).\n"
        yield _MOUNT.format(source=relay.DIRECTORY, target=relay.DIRECTORY)
