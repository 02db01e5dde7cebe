"""What a node of ours is told and given to keep its keys in a Transit server: settings and files."""

from collections.abc import Sequence
from pathlib import Path

from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests.transit.openbao import Node

_POLICY = "kleidi"


def admitted(
    server: Node, directory: Path, addresses: Sequence[str] = (), key: str = "kleidi"
) -> dict[str, str]:
    """Let a node log in by AppRole with the least policy; its settings by lower-case names.

    *directory* gets the files; *addresses* are those of a cluster that *server* leads.
    """
    directory.mkdir(mode=0o700, parents=True)
    server.policy(f"{_POLICY}-{key}", policy(Access(key=key)))
    role = server.approle(f"{_POLICY}-{key}", mount=f"approle-{key}", token_ttl=3600)
    files = {"role_id": role.role_id, "secret_id": role.secret_id}
    for name, text in files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(text)
    return {
        "transit_addresses": " ".join(addresses or [server.address]),
        "transit_ca_file": str(server.authority.certificate),
        "transit_key": key,
        "transit_auth": "approle",
        "transit_auth_mount": f"approle-{key}",
        **{f"transit_{name}_file": str(directory / name) for name in files},
    }
