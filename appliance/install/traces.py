"""Which distribution a node has: told by the directories that each leaves there."""

from pathlib import Path

from appliance.manifests.distribution import Distribution

_DIRECTORIES = {
    "/etc/rancher/rke2": Distribution.RKE2,
    "/var/lib/rancher/rke2": Distribution.RKE2,
    "/etc/rancher/k3s": Distribution.K3S,
    "/var/lib/rancher/k3s": Distribution.K3S,
    "/etc/kubernetes/manifests": Distribution.KUBEADM,
    "/etc/kubernetes": Distribution.KUBEADM,
}


def found(root: Path) -> Distribution | None:
    """What the directories on the node say; one that is named by hand always wins."""
    for path, distribution in _DIRECTORIES.items():
        if (root / path.lstrip("/")).is_dir():
            return distribution
    return None
