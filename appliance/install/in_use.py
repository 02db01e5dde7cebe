"""Whether anything still needs this node's keys: what the API server is told of, then what etcd holds."""

from appliance import faults
from appliance.endpoint import dialled
from appliance.faults import KleidiError
from appliance.install.encryption import Provider, providers
from appliance.install.layout import OURS
from appliance.install.mentions import reading
from appliance.install.mentions.everything import mentions, told
from appliance.install.mentions.mention import Mention
from appliance.install.rooted import Rooted
from appliance.manifests.description import Description

# In bytes.
_MOST_MANIFEST = 1024 * 1024


def comes_to_us(node: Rooted, described: Description, mention: Mention, provider: Provider) -> bool:
    """Whether the API server that *mention* is about dials our socket for *provider*, by whatever name."""
    path = dialled(provider.endpoint) if provider.kind == "kms" else ""
    with reading.readable(node, mention.by):
        return node.real(described.socket) in (node.real(path), node.real(mention.outside(path)))


def check_configurations(node: Rooted, described: Description) -> None:
    """Raises E-INSTALL-IN-USE with the file that names us."""
    own = described.encryption_config
    found = [(one.mention, one.path, one.configuration) for one in told(node, own)]
    found.append((Mention(own, own), own, reading.configuration(node, own)))
    for mention, path, configuration in found:
        for provider in providers(configuration or {}):
            named = provider.kind == "kms" and provider.name == described.provider
            if named or comes_to_us(node, described, mention, provider):
                raise KleidiError(faults.INSTALL_IN_USE, f"{node.at(path)}: {provider}")


def is_told_by_others(node: Rooted) -> bool:
    """Whether an API server is told of any EncryptionConfiguration by a file that we did not write."""
    return any(
        OURS.encode() not in (node.read(mention.by, _MOST_MANIFEST) or b"") for mention in mentions(node)
    )


def check_count(stored: int | None) -> None:
    """Raises E-INSTALL-UNCOUNTED where there is no whole count, E-INSTALL-IN-USE where it is not 0."""
    if stored is None:
        raise KleidiError(faults.INSTALL_UNCOUNTED)
    if stored:
        raise KleidiError(faults.INSTALL_IN_USE, f"{stored} stored objects")
