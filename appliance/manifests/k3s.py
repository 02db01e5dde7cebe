"""k3s: its API server is a host process, and before autumn 2026 its kubelet waits for that to be ready.

A static pod would then wait for itself (k3s-io/k3s#10058), so the appliance runs beside k3s, under podman.
Versions with k3s-io/k3s#14635 can run the static pod, which is written, too.
"""

from string import Template

from appliance.manifests import api_server, command, podman, relay
from appliance.manifests.description import CONFIG_NAME, Description
from appliance.manifests.pod import static_pod

CONFIG = "/etc/rancher/k3s/config.yaml.d/50-kleidi.yaml"

_CONFIG = Template("""\
# $headline
# "+" adds to a list that another file begins. Do not set secrets-encryption beside it.
kube-apiserver-arg+:
$arguments
""")


def files(described: Description) -> dict[str, str]:
    arguments = "\n".join(f"- {name}={value}" for name, value in api_server.arguments(described).items())
    return {
        "config.yaml": _CONFIG.substitute(headline=described.headline, arguments=arguments),
        "kleidi.container": podman.quadlet(described, before="k3s.service"),
        "pod.yaml": static_pod(described),
        CONFIG_NAME: api_server.configuration(described),
        command.NAME: command.text(),
        # For the pod; podman has the device itself.
        **relay.files(described),
    }
