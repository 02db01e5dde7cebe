"""The encryption that a node has before us: our EncryptionConfiguration must read what it wrote."""

import yaml

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import document, layout
from appliance.install.before import Before
from appliance.install.encryption import Provider, providers, put_first
from appliance.install.in_use import comes_to_us
from appliance.install.mentions import reading
from appliance.install.mentions.everything import Told, told
from appliance.install.rooted import Rooted
from appliance.manifests.description import Description


def configuration(node: Rooted, described: Description, policy: Before) -> str:
    """The text that ours should have. Raises E-INSTALL-ENCRYPTED, E-INSTALL-UNREADABLE."""
    plain = layout.configuration(described).text
    if policy is Before.IGNORE:
        return plain
    own = described.encryption_config
    before = [one for one in told(node, own) if one.path != node.real(own)]
    kept = providers(reading.configuration(node, own) or {}) if before else []
    lacking = {one.path: lack for one in before if (lack := _lacking(node, described, one, kept))}
    if not lacking:
        return plain
    found = "; ".join(f"{node.at(path)}: {what}" for path, what in lacking.items())
    if policy is Before.REFUSE:
        raise KleidiError(faults.INSTALL_ENCRYPTED, found)
    if node.read(own, document.MOST) not in (None, plain.encode()):
        raise KleidiError(faults.INSTALL_ENCRYPTED, f"{found}; {node.at(own)} was edited and stays as it is")
    sources = [one for one in before if one.path in lacking]
    if len(sources) > 1 or sources[0].configuration is None:
        raise KleidiError(faults.INSTALL_ENCRYPTED, f"{found}; only one file can be taken over")
    try:
        return _behind_ours(plain, sources[0])
    except ValueError as error:
        raise KleidiError(faults.INSTALL_ENCRYPTED, f"{found}; {error}") from error


def _lacking(node: Rooted, described: Description, one: Told, kept: list[Provider]) -> str:
    """What ours would not read, in words; "" where the operator has put us beside it already."""
    if one.configuration is None:
        return f"secrets-encryption of {node.at(one.mention.by)}"
    found = providers(one.configuration)
    if any(comes_to_us(node, described, one.mention, provider) for provider in found):
        return ""
    return ", ".join(str(each) for each in found if each.encrypts and each not in kept)


def _behind_ours(plain: str, before: Told) -> str:
    [ours, *_] = document.read_one(plain.encode())["resources"][0]["providers"]
    head = (
        f"# Ours first, behind it what {before.path} had: it reads what was stored before.\n"
        "# Take each of those out once everything is rewritten.\n"
    )
    return head + yaml.safe_dump(put_first(before.configuration or {}, ours), sort_keys=False)
