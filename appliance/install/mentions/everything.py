"""All EncryptionConfigurations that this node's API server is told of, read."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance import faults
from appliance.faults import KleidiError
from appliance.install.document import Json
from appliance.install.mentions import kubeadm, rancher, reading, units
from appliance.install.mentions.mention import OPTION, Mention, values
from appliance.install.rooted import Rooted

# Where Kubernetes was set up by hand.
_SERVICE = "kube-apiserver"


@dataclass(frozen=True)
class Told:
    """*configuration* is None for a file that the distribution has not made yet."""

    mention: Mention
    path: str
    configuration: Json | None


def told(node: Rooted, own: str) -> Iterator[Told]:
    """Each file once. Raises E-INSTALL-UNREADABLE, but not where *own*, our file's path, is missing."""
    seen = set()
    for mention in mentions(node):
        outside = mention.outside(mention.path)
        with reading.readable(node, outside):
            path = node.real(outside)
        if path in seen:
            continue
        seen.add(path)
        configuration = reading.configuration(node, path)
        if configuration is None and not mention.made_later:
            if path == node.real(own):
                continue
            detail = f"{node.at(path)}, which {node.at(mention.by)} names, is not there"
            raise KleidiError(faults.INSTALL_UNREADABLE, detail)
        yield Told(mention, path, configuration)


def mentions(node: Rooted) -> Iterator[Mention]:
    """Whatever the distribution: a node may have been another one's before."""
    for directory in kubeadm.POD_DIRECTORIES:
        for path in node.names(directory):
            for found in reading.mentioning(node, path, OPTION):
                yield from kubeadm.of_pod(path, found)
    for path in node.names(kubeadm.DIRECTORY):
        if path.endswith(kubeadm.SUFFIXES):
            for found in reading.mentioning(node, path, OPTION):
                yield from kubeadm.of_cluster(path, found)
    for path, words in units.words(node, _SERVICE):
        yield from (Mention(path, value) for value in values(words, OPTION))
    yield from rancher.mentions(node)
