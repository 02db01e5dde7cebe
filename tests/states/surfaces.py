"""What every surface says of one and the same moment, reduced to what can be compared."""

import json
import re
from dataclasses import dataclass
from typing import Any

import grpc

from tests.service.asked import get
from tests.service.client import connected
from tests.states.ground import Ground
from tests.states.typist import Screen, Typist

_ID = re.compile(r"E-[A-Z][A-Z0-9]*(?:-[A-Z]+)*")


def ids_in(text: str) -> list[str]:
    """Every id, once, in the order in which they are first named."""
    return list(dict.fromkeys(_ID.findall(text)))


@dataclass(frozen=True)
class Told:
    """`kleidi status` as JSON, as text, and `kleidi key list` as JSON, from one terminal."""

    fields: dict[str, Any]
    json: Screen
    text: Screen
    keys: Screen

    @property
    def ids(self) -> list[str]:
        return [reason["id"] for reason in self.fields["reasons"]]

    @property
    def nested(self) -> set[str]:
        """Ids that a detail quotes: the file that is missing behind the seal key that is gone."""
        quoted = [reason["reason"].removeprefix(reason["id"]) for reason in self.fields["reasons"]]
        return set(ids_in(" ".join(quoted)))


def told(typist: Typist, ground: Ground, **differing: str) -> Told:
    settings = ground.settings | differing
    as_json = typist.type(("status", "-o", "json"), settings)
    as_text = typist.type(("status",), settings)
    keys = typist.type(("key", "list", "-o", "json"), settings)
    return Told(json.loads(as_json.out), as_json, as_text, keys)


def wire(ground: Ground) -> str:
    """Status as the API server gets it: "ok", a reason, or the refusal's words."""
    with connected(ground.socket) as client:
        try:
            return client.status().healthz
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}" if isinstance(error, grpc.Call) else ""


def probes(ground: Ground) -> dict[str, tuple[int, str]]:
    return {
        target: get(ground.health, target)
        for target in ("/livez", "/standing", "/readyz", "/readyz?verbose", "/status.json")
    }
