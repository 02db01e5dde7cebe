"""What every API server is told and shown, whatever runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.configuration import encryption_configuration
from appliance.manifests.description import Description


@dataclass(frozen=True)
class Mount:
    """A directory, never the file in it: a mounted file is the old one after every rename."""

    name: str
    path: str
    kind: str


def arguments(described: Description) -> dict[str, str]:
    return {
        "encryption-provider-config": described.encryption_config,
        # Reads a changed file within a minute, and answers for all providers with one health check.
        "encryption-provider-config-automatic-reload": "true",
    }


def flags(described: Description) -> list[str]:
    return [f"--{name}={value}" for name, value in arguments(described).items()]


def mounts(described: Description) -> Iterator[Mount]:
    """All of it read-only, which a socket does not mind; neither the volume nor a secret is among them."""
    yield Mount("kleidi-config", described.config, "Directory")
    # /run is empty after a boot, and the API server may be the first who looks for it.
    yield Mount("kleidi-socket", described.sockets, "DirectoryOrCreate")


def configuration(described: Description) -> str:
    return encryption_configuration(described.provider, Path(described.socket))
