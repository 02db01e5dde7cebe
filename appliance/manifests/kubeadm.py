"""kubeadm: a pod for /etc/kubernetes/manifests, and the API server's part of ClusterConfiguration."""

from appliance.manifests import api_server, command, host, relay
from appliance.manifests.description import CONFIG_NAME, Description
from appliance.manifests.pod import static_pod

POD_DIRECTORY = "/etc/kubernetes/manifests"
VERSIONS = ("v1beta4", "v1beta3")


def files(described: Description) -> dict[str, str]:
    texts = {
        "pod.yaml": static_pod(described),
        host.TMPFILES_NAME: host.tmpfiles(described),
        CONFIG_NAME: api_server.configuration(described),
        command.NAME: command.text(),
        **relay.files(described),
    }
    for version in VERSIONS:
        note = f"# {described.headline} Merge it into your own: kubeadm {_KNOWS[version]}.\n"
        texts[f"cluster-{version}.yaml"] = note + cluster_configuration(described, version)
    return texts


_KNOWS = {"v1beta4": "1.31 and later", "v1beta3": "before 1.31; later ones read it, too, until they drop it"}


def cluster_configuration(described: Description, version: str) -> str:
    """The API server's part alone. v1beta3 has extraArgs as a map, v1beta4 as a list."""
    lines = [
        f"apiVersion: kubeadm.k8s.io/{version}",
        "kind: ClusterConfiguration",
        "apiServer:",
        "  extraArgs:",
    ]
    for name, value in api_server.arguments(described).items():
        if version == "v1beta3":
            lines.append(f'    {name}: "{value}"')
        else:
            lines += [f"  - name: {name}", f'    value: "{value}"']
    lines.append("  extraVolumes:")
    for mount in api_server.mounts(described):
        lines += [
            f"  - name: {mount.name}",
            f"    hostPath: {mount.path}",
            f"    mountPath: {mount.path}",
            "    readOnly: true",
            f"    pathType: {mount.kind}",
        ]
    return "\n".join(lines) + "\n"
