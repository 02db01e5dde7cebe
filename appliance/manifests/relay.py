"""The TPM for a pod: units of the host's systemd that take whole commands on a socket.

A pod without privileges may open no device that is mounted into it (EPERM, by its device cgroup), and what
hands devices out to pods needs the API server, which waits for us. A socket it may dial.
"""

from string import Template

from appliance.manifests.description import Description
from appliance.manifests.tpm import DEVICE

DIRECTORY = "/run/kleidi-tpm"
SOCKET = f"{DIRECTORY}/tpm.sock"
# What the program runs under: the host's, for nothing of the image is outside of its container.
PYTHON = "/usr/bin/python3"
PROGRAM = "/usr/local/lib/kleidi-tpm-relay.py"
# By the file's name in a manifest: path on the node, mode.
PLACES = (
    ("kleidi-tpm-relay.py", PROGRAM, 0o644),
    ("kleidi-tpm@.service", "/etc/systemd/system/kleidi-tpm@.service", 0o644),
    ("kleidi-tpm.socket", "/etc/systemd/system/kleidi-tpm.socket", 0o644),
    ("sockets.target.conf", "/etc/systemd/system/sockets.target.d/10-kleidi-tpm.conf", 0o644),
)
_NOTE = "Written by `kleidi manifests`: the TPM for the pod, see docs/tpm.md."

_SERVICE = Template("""\
# $note
[Unit]
Description=The TPM for one client of Kleidi's
CollectMode=inactive-or-failed

[Service]
# One connection, one process, one open of the device: what a client leaves in the TPM goes with it.
ExecStart=$python -IS $program $device
StandardInput=socket
StandardOutput=journal
StandardError=journal
# A connection a minute is no news; trouble is.
SyslogLevel=warning
LogLevelMax=notice
RuntimeMaxSec=60
TimeoutStopSec=5
# Root, but with no more than it takes to open a device that is another user's.
CapabilityBoundingSet=CAP_DAC_OVERRIDE
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=$device rw
ProtectSystem=strict
ProtectHome=yes
InaccessiblePaths=-/etc/kubernetes -/var/lib -$secrets
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
MemoryMax=64M
TasksMax=4
""")

_SOCKET = Template("""\
# $note
[Unit]
Description=The TPM for Kleidi's pod

[Socket]
ListenStream=$socket
# Who can write to it can open what the TPM closed.
SocketMode=0660
${owner}DirectoryMode=0750
Accept=yes
MaxConnections=8
# It would close the socket for good, which its own client alone could bring about.
TriggerLimitIntervalSec=0
""")

# By hand: SocketUser= refuses a number that no user of the host has (systemd, socket_chown).
_OWNER = """\
ExecStartPost=/usr/bin/chown {uid}:{uid} {socket}
"""

# All services come after this target, a kubelet among them.
_TARGET = Template("""\
# $note
[Unit]
Wants=kleidi-tpm.socket
""")


def files(described: Description) -> dict[str, str]:
    """Nothing where the node's TPM is nothing to the appliance."""
    if described.tpm is None:
        return {}
    owner = _OWNER.format(uid=described.uid, socket=SOCKET) if described.uid else ""
    return {
        "kleidi-tpm-relay.py": f"# {_NOTE}\n{described.tpm.relay}",
        "kleidi-tpm@.service": _SERVICE.substitute(
            note=_NOTE, python=PYTHON, program=PROGRAM, device=DEVICE, secrets=described.secrets
        ),
        "kleidi-tpm.socket": _SOCKET.substitute(note=_NOTE, socket=SOCKET, owner=owner),
        "sockets.target.conf": _TARGET.substitute(note=_NOTE),
    }


def settings(described: Description) -> dict[str, str]:
    """What a pod is told beside the rest."""
    return {} if described.tpm is None else {"KLEIDI_TPM": f"unix://{SOCKET}"}
