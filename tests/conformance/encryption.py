"""EncryptionConfigurations, written the way an operator's tool would: whole, and by rename."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kms:
    """One kms provider: the name that ends up in every stored value, and the socket behind it."""

    name: str
    socket: Path

    @property
    def endpoint(self) -> str:
        return f"unix://{self.socket}"

    def entry(self) -> dict[str, Any]:
        return {"kms": {"apiVersion": "v2", "name": self.name, "endpoint": self.endpoint, "timeout": "3s"}}

    @property
    def prefix(self) -> bytes:
        return f"k8s:enc:kms:v2:{self.name}:".encode()


@dataclass(frozen=True)
class Identity:
    """Stored as it is."""

    def entry(self) -> dict[str, Any]:
        return {"identity": {}}


Provider = Kms | Identity


def write(path: Path, providers: Sequence[Provider], resources: Sequence[str] = ("secrets",)) -> None:
    """JSON is YAML, and the rename keeps a reload from reading half a file."""
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": list(resources), "providers": [each.entry() for each in providers]}],
    }
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(configuration, indent=2))
    fresh.rename(path)
