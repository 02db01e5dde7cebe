"""Where the Transit server is, which key is meant, how this node logs in: names of files, never a secret."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
MOST_NAMES = 8


def is_name(text: str) -> bool:
    """What a key or a role can be called; it goes into a path as it is."""
    return _NAME.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Where something is mounted: names with '/' between."""
    parts = text.split("/")
    return len(parts) <= MOST_NAMES and all(map(is_name, parts))


@dataclass(frozen=True)
class Access:
    """The settings KLEIDI_TRANSIT_…, field by field. Without an address the engine is not configured."""

    addresses: tuple[str, ...] = ()
    ca_file: Path | None = None
    server_name: str | None = None
    namespace: str | None = None
    mount: str = "transit"
    key: str = "kleidi"
    auth: str = "token"
    auth_mount: str | None = None
    token_file: Path | None = None
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    role: str | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    lanes: int = 16
    follow: bool = False

    @classmethod
    def of(cls, settings: object) -> "Access":
        """From what has each field as `transit_…`, the addresses as text with blanks between them."""
        values = {each.name: getattr(settings, f"transit_{each.name}") for each in fields(cls)}
        return cls(**values | {"addresses": tuple((values["addresses"] or "").split())})

    @property
    def login_mount(self) -> str:
        """Where the auth method is mounted: by default under its own name."""
        return self.auth_mount or self.auth
