"""RKE2: a static pod that comes back at every start, and a drop-in for the server's configuration."""

from string import Template

from appliance.manifests import api_server, command, host, relay
from appliance.manifests.description import CONFIG_NAME, Description
from appliance.manifests.pod import static_pod

POD_DIRECTORY = "/var/lib/rancher/rke2/agent/pod-manifests"
MASTER_COPY = "/etc/rancher/rke2/kleidi/pod.yaml"
CONFIG = "/etc/rancher/rke2/config.yaml.d/50-kleidi.yaml"
UNIT_DROP_IN = "/etc/systemd/system/rke2-server.service.d/10-kleidi.conf"

_CONFIG = Template("""\
# $headline
# "+" adds to lists that other files begin. RKE2 has an argument of the first name itself, which this one
# replaces: see docs/rke2.md if its Secrets are encrypted already. RKE2 itself mounts the file named here.
kube-apiserver-arg+:
$arguments
kube-apiserver-extra-mount+:
- $sockets:$sockets:ro
""")

_UNIT = Template("""\
# $headline
[Service]
# Some versions' rke2-killall.sh empties the directory of static pods (RKE2 1.25 to 1.28).
ExecStartPre=/usr/bin/install -D -m 0600 $master $pods/kleidi.yaml
""")


def files(described: Description) -> dict[str, str]:
    arguments = "\n".join(f"- {name}={value}" for name, value in api_server.arguments(described).items())
    return {
        "config.yaml": _CONFIG.substitute(
            headline=described.headline, arguments=arguments, sockets=described.sockets
        ),
        "rke2-server.conf": _UNIT.substitute(
            headline=described.headline, master=MASTER_COPY, pods=POD_DIRECTORY
        ),
        "pod.yaml": static_pod(described),
        host.TMPFILES_NAME: host.tmpfiles(described),
        CONFIG_NAME: api_server.configuration(described),
        command.NAME: command.text(),
        **relay.files(described),
    }
