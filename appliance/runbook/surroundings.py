"""etcd, and the node that it is installed on: where to look and what to do."""

from appliance import faults
from appliance.faults import surroundings
from appliance.runbook.effects import NOBODY, NOTHING
from appliance.runbook.entry import Advice, Room, Wake

_ETCD = ("etcdctl endpoint health", "kleidi status")
_PLAN = ("kleidi install --dry-run", "kleidi status")
_BY_PIPE = (
    "On a node let etcd's own pod read, and give its output to `kleidi usage --from-etcdctl -` "
    "(docs/rotation.md, 4)"
)


def _counting(*steps: str, look: tuple[str, ...] = _ETCD) -> Advice:
    """Counting is a command, whatever keeps etcd from it."""
    return Advice(effect=NOTHING, look=look, do=steps)


ROOM = Room(
    "etcd and the node",
    surroundings,
    _PLAN,
    {
        faults.ETCD_UNREACHABLE: _counting(_BY_PIPE),
        faults.ETCD_TLS: _counting(_BY_PIPE),
        faults.ETCD_DENIED: _counting(_BY_PIPE),
        faults.ETCD_COMPACTED: _counting(
            "`kleidi usage --etcd-snapshot` reads what `etcdctl snapshot save` wrote"
        ),
        faults.ETCD_INCOMPLETE: _counting("A key that was not counted in whole is not destroyed"),
        faults.ETCD_EMPTY: _counting(look=("kleidi usage -h", "ps -o args -C kube-apiserver")),
        faults.ETCDCTL_INVALID: _counting("A newer etcdctl that prints another form: report it"),
        faults.CONTAINER_NONE: Advice(
            effect=NOBODY,
            look=(
                "crictl ps -a --name kleidi",
                "ls /etc/kubernetes/manifests",
                "journalctl -u kubelet -n 50",
            ),
            do=("The static pod's manifest is gone: `kleidi install` from the image writes it again",),
            when="when the API server on this node uses us",
        ),
        faults.CONTAINER_SEVERAL: Advice(look=("crictl ps --name kleidi", "podman ps --filter name=kleidi")),
        faults.INSTALL_DISTRIBUTION: Advice(
            look=("kleidi install -h", ("ls -d /etc/kubernetes /etc/rancher/*"))
        ),
        faults.INSTALL_VALUE: Advice(look=("kleidi install -h",)),
        faults.INSTALL_FAILED: Advice(effect=NOTHING, look=(*_PLAN, "df -h /etc /var/lib/kleidi")),
        faults.INSTALL_KEY_LOST: Advice(
            look=("kleidi status", "kleidi slot list", "ls -ln /etc/kleidi"),
            do=(
                "While it serves: `kleidi slot add --kind file --key-file /etc/kleidi/seal.key --name new`",
                "While it does not: `kleidi unseal` with another slot, then the same",
            ),
            wake=Wake.TODAY,
        ),
        faults.INSTALL_TPM: Advice(look=("ls -l /dev/tpmrm0", "kleidi tpm show")),
        faults.INSTALL_PYTHON: Advice(look=("ls -l /usr/bin/python3", "kleidi install --dry-run")),
        faults.INSTALL_ENCRYPTED: Advice(
            do=(
                "Keep a copy of both files: the old keys are in the old one",
                (
                    "Rewrite everything, count with `kleidi usage` until nothing is left of the old kind, "
                    "then take it out"
                ),
            )
        ),
        faults.INSTALL_IN_USE: Advice(
            look=("kleidi usage", "kleidi uninstall --dry-run"),
            do=(
                (
                    "Put `identity` ahead of `kms` on every node, rewrite, count with `kleidi usage`, then "
                    "uninstall"
                ),
            ),
        ),
        faults.INSTALL_UNCOUNTED: Advice(look=("kleidi usage", "kleidi uninstall --dry-run")),
    },
)
