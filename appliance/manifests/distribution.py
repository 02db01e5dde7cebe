"""What runs the control plane, and the files it takes."""

from enum import StrEnum

from appliance.manifests import k3s, kind, kubeadm, podman, rke2
from appliance.manifests.description import Description


class Distribution(StrEnum):
    KUBEADM = "kubeadm"
    KIND = "kind"
    RKE2 = "rke2"
    K3S = "k3s"
    PODMAN = "podman"


_FILES = {
    Distribution.KUBEADM: kubeadm.files,
    Distribution.KIND: kind.files,
    Distribution.RKE2: rke2.files,
    Distribution.K3S: k3s.files,
    Distribution.PODMAN: podman.files,
}


def files(distribution: Distribution, described: Description) -> dict[str, str]:
    """Texts by the names of the files that hold them."""
    return _FILES[distribution](described)
