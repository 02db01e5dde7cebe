"""What can be wrong around the appliance: etcd, and the node it is installed on."""

from appliance.faults.fault import Exit, Kind, fault

_C, _W, _M, _R = Kind.CONFIGURATION, Kind.WAITING, Kind.MALFORMED, Kind.REFUSED

# A table reads better with a fault in three lines.
# fmt: off
# etcd
ETCD_UNREACHABLE = fault("E-ETCD-UNREACHABLE", _W, Exit.UNREACHABLE,
    "etcd does not answer at any of the endpoints",
    "Check --endpoints, and that this node reaches them")
ETCD_TLS = fault("E-ETCD-TLS", _W, Exit.WRONG_KEY,
    "etcd and kleidi do not accept each other's certificates",
    "Check --cacert, --cert and --key; on kubeadm they are in /etc/kubernetes/pki/etcd")
ETCD_DENIED = fault("E-ETCD-DENIED", _R, Exit.WRONG_KEY,
    "etcd does not let this client read",
    "Use a client certificate whose user may read everything under the prefix")
ETCD_COMPACTED = fault("E-ETCD-COMPACTED", _W, Exit.ERROR,
    "etcd compacted the revision that was being read, so the count is not complete",
    "Count again; if it lasts, run it nearer to etcd, or read a snapshot with etcdctl")
ETCD_INCOMPLETE = fault("E-ETCD-INCOMPLETE", _W, Exit.ERROR,
    "not everything could be read from etcd, so there is no count",
    "Count again; if it lasts, look at etcd's log")
ETCD_EMPTY = fault("E-ETCD-EMPTY", _R, Exit.REFUSED,
    "nothing is stored under the prefix, which no cluster's etcd is like",
    "Check --prefix against the API server's --etcd-prefix")
ETCDCTL_INVALID = fault("E-ETCDCTL-INVALID", _M, Exit.ERROR,
    "the input is not one whole answer of `etcdctl get /registry --prefix -w json`",
    "Take it again, without --limit and --keys-only")

# Installing on a node
CONTAINER_NONE = fault("E-CONTAINER-NONE", _W, Exit.UNREACHABLE,
    "no container of kleidi that could be seen runs on this machine",
    "Be root; look at `crictl ps -a` or `podman ps -a`, then at the container's log")
CONTAINER_SEVERAL = fault("E-CONTAINER-SEVERAL", _R, Exit.REFUSED,
    "several containers of kleidi run on this machine",
    "Stop all but one, or run kleidi in the one that is meant with `crictl exec` or `podman exec`")
INSTALL_DISTRIBUTION = fault("E-INSTALL-DISTRIBUTION", _C, Exit.USAGE,
    "it cannot be told what runs this node's control plane",
    "Name it with --distribution")
INSTALL_VALUE = fault("E-INSTALL-VALUE", _C, Exit.USAGE,
    "a value cannot stand in a manifest",
    "Choose one that the line allows")
INSTALL_DENIED = fault("E-INSTALL-DENIED", _R, Exit.REFUSED,
    "the node's files cannot be written",
    "Run it as root; what is done already is not done twice")
INSTALL_FAILED = fault("E-INSTALL-FAILED", _W, Exit.ERROR,
    "the node's disk refused a change",
    "Mend what the line names and run it again; it goes on from there")
INSTALL_OCCUPIED = fault("E-INSTALL-OCCUPIED", _R, Exit.REFUSED,
    "something that is not ours is where a file or directory of ours must be",
    "Look at what it is, and move it away if nobody needs it")
INSTALL_ROLE = fault("E-INSTALL-ROLE", _R, Exit.REFUSED,
    "this node was installed to join a cluster, so it must not make a key of its own",
    "Bring it the cluster's keys; if it really is a new cluster's first node, run `kleidi uninstall` before")
INSTALL_KEY_LOST = fault("E-INSTALL-KEY-LOST", _R, Exit.SEALED,
    "there are traces of a sealed volume, but its seal key is gone, and a new one would not open it",
    "Put the seal key back from its backup")
INSTALL_TPM = fault("E-INSTALL-TPM", _R, Exit.REFUSED,
    "this node has no /dev/tpmrm0 that could be given to a container",
    "Switch it on in the firmware, or leave --tpm out; for one that comes later say --tpm-group")
INSTALL_PYTHON = fault("E-INSTALL-PYTHON", _R, Exit.REFUSED,
    "the TPM's relay runs under the node's own python3, which is not there",
    "Install it, or see docs/tpm.md: systemd-creds, devices by the runtime, or at last a privileged pod")
INSTALL_ENCRYPTED = fault("E-INSTALL-ENCRYPTED", _R, Exit.REFUSED,
    "this node's API server encrypts already, and our EncryptionConfiguration would not read what it wrote",
    "Say --encryption take-over to put those providers behind ours, or --encryption ignore to do it yourself")
INSTALL_UNREADABLE = fault("E-INSTALL-UNREADABLE", _R, Exit.REFUSED,
    "what this node's API server is told cannot be read as it reads it, so its encryption is not known",
    "Mend the file that the line names; `install --encryption ignore` and `uninstall --force` go on without")
INSTALL_IN_USE = fault("E-INSTALL-IN-USE", _R, Exit.REFUSED,
    "this node's API server still needs this provider",
    "Decrypt everything first and take the provider out; --force removes the appliance all the same")
INSTALL_UNCOUNTED = fault("E-INSTALL-UNCOUNTED", _R, Exit.REFUSED,
    "this node has held keys, and it is not shown that nothing stored needs them any more",
    "Give all that `kleidi usage -o json` prints with --usage; --force removes the appliance all the same")
# fmt: on
