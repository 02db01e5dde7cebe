"""What static pods and kubeadm's ClusterConfiguration tell an API server."""

from collections.abc import Iterator
from typing import Any

from appliance.install.document import Json, listed, mappings
from appliance.install.mentions.mention import OPTION, Mention, Mount, split, values
from appliance.manifests import kubeadm, rke2

# Every file in them is a pod to the kubelet (pkg/kubelet/config/file.go).
POD_DIRECTORIES = (kubeadm.POD_DIRECTORY, rke2.POD_DIRECTORY)
# kubeadm keeps its configuration in the cluster; who wrote it often left it here.
DIRECTORY = "/etc/kubernetes"
SUFFIXES = (".yaml", ".yml", ".json")


def of_pod(path: str, pod: Json) -> Iterator[Mention]:
    """Whatever container it is in: names and images differ, the option does not."""
    spec = pod.get("spec")
    hosts = {
        volume.get("name"): volume["hostPath"]
        for volume in mappings(spec, "volumes")
        if isinstance(volume.get("hostPath"), dict)
    }
    for container in mappings(spec, "containers"):
        words = split([*listed(container, "command"), *listed(container, "args")])
        mounts = tuple(_mounts(container, hosts))
        yield from (Mention(path, value, mounts) for value in values(words, OPTION))


def _mounts(container: Json, hosts: dict[Any, Json]) -> Iterator[Mount]:
    for mount in mappings(container, "volumeMounts"):
        inside, host = mount.get("mountPath"), hosts.get(mount.get("name"), {}).get("path")
        if isinstance(inside, str) and isinstance(host, str):
            below = mount.get("subPath")
            yield Mount(inside, f"{host}/{below}" if isinstance(below, str) else host)


def of_cluster(path: str, configuration: Json) -> Iterator[Mention]:
    """v1beta3 has extraArgs as a map, v1beta4 as a list."""
    server = configuration.get("apiServer")
    if configuration.get("kind") != "ClusterConfiguration" or not isinstance(server, dict):
        return
    given = server.get("extraArgs")
    pairs = [(each.get("name"), each.get("value")) for each in mappings(server, "extraArgs")]
    pairs += given.items() if isinstance(given, dict) else []
    mounts = tuple(
        Mount(str(volume["mountPath"]), str(volume["hostPath"]))
        for volume in mappings(server, "extraVolumes")
        if "mountPath" in volume and "hostPath" in volume
    )
    yield from (Mention(path, str(value), mounts) for name, value in pairs if name == OPTION)
