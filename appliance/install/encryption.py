"""An EncryptionConfiguration: which providers it has, and how ours goes before them. Pure."""

from dataclasses import dataclass
from typing import Any

from appliance.install.document import Json, listed, mappings

_KINDS = ("EncryptionConfiguration", "EncryptionConfig")  # the second one until Kubernetes 1.13
_SECRETS = "secrets"
# What takes Secrets in without naming them (apiserver, pkg/apis/apiserver/types_encryption.go).
_ALL = ("*.", "*.*")


@dataclass(frozen=True)
class Provider:
    kind: str
    configuration: Any

    @property
    def encrypts(self) -> bool:
        return self.kind != "identity"

    @property
    def name(self) -> str:
        return self._text("name")

    @property
    def endpoint(self) -> str:
        return self._text("endpoint")

    def __str__(self) -> str:
        """For people: the kind, and the names of its keys. Never a secret."""
        keys = [str(key.get("name")) for key in mappings(self.configuration, "keys")]
        return " ".join([self.kind, *(keys or [self.name])]).rstrip()

    def _text(self, name: str) -> str:
        value = self.configuration.get(name) if isinstance(self.configuration, dict) else None
        return "" if value is None else str(value)


def check(document: Json) -> None:
    """Raises ValueError for what is no EncryptionConfiguration."""
    if document.get("kind") not in _KINDS:
        raise ValueError("no EncryptionConfiguration")


def providers(document: Json) -> list[Provider]:
    """All that it names, in its order, whatever they are for."""
    return [
        Provider(str(kind), configuration)
        for entry in mappings(document, "resources")
        for each in mappings(entry, "providers")
        for kind, configuration in each.items()
        if configuration is not None
    ]


def put_first(document: Json, ours: Json) -> Json:
    """*document*, with the provider *ours* before all that encrypt or read Secrets in it. Raises ValueError.

    A provider's name may stand in the whole file only once (apiserver, validation_encryption.go), so ours
    goes to one entry: that of the Secrets, with whatever else is encrypted with them.
    """
    name = ours["kms"]["name"]
    if any(each.kind == "kms" and each.name == name for each in providers(document)):
        raise ValueError(f"another provider is named {name} already")
    entries = [dict(entry) for entry in mappings(document, "resources")]
    place = next((number for number, entry in enumerate(entries) if _covers(entry)), None)
    if place is None:
        entries.insert(0, {"resources": [_SECRETS], "providers": [ours, {"identity": {}}]})
    elif _SECRETS in listed(entries[place], "resources"):
        entries[place]["providers"] = [ours, *listed(entries[place], "providers")]
    else:
        # Not `*.*` itself: an API server does not come up while a plugin holds what it needs for that.
        behind = listed(entries[place], "providers")
        if any("kms" in each for each in behind):
            raise ValueError("a wildcard encrypts with another kms provider, which can be named only once")
        entries.insert(place, {"resources": [_SECRETS], "providers": [ours, *behind]})
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": _KINDS[0], "resources": entries}


def _covers(entry: Json) -> bool:
    resources = listed(entry, "resources")
    return _SECRETS in resources or any(each in resources for each in _ALL)
