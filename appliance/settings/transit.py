"""The settings of keys in a Transit server: where it is, which key, and how this node logs in."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from appliance.settings.values import AbsolutePath, Count
from appliance.transit.access import MOST_NAMES, is_name, is_path

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-f:.]{2,45}")
# Which files a way to log in reads; no other may be set, or it would be thought to be in use.
_FILES = {
    "token": ("token_file",),
    "approle": ("role_id_file", "secret_id_file"),
    "cert": ("cert_file", "key_file"),
}
_NOT_OFFERED = {
    "kubernetes": "kubernetes is not offered: the server would ask this API server about our token, which "
    "cannot answer before we do; use approle or cert",
    "jwt": "jwt is not offered yet; use approle or cert",
}


def _name(text: str) -> str:
    # Not as a Field's pattern: that engine takes longer to make ready for such counts than all the rest.
    if not is_name(text):
        raise ValueError("must be up to 128 letters, digits, '_', '-' or '.', and not begin with '.'")
    return text


def _path(text: str) -> str:
    if not is_path(text):
        raise ValueError(
            f"must be up to {MOST_NAMES} names of letters, digits, '_', '-' or '.', with '/' between"
        )
    return text


ServerName = Annotated[str, AfterValidator(_name)]
ServerPath = Annotated[str, AfterValidator(_path)]


class TransitSettings(BaseSettings):
    """All of them may be left out: then keys in Transit are known and out of reach."""

    transit_addresses: str | None = Field(
        None,
        description="The Transit servers (Vault, OpenBao) of engine or slot `transit`, "
        "`https://host:8200`, separated by commas or blanks; the next one is "
        "asked as soon as one does not answer.",
    )
    transit_ca_file: AbsolutePath | None = Field(
        None,
        description="The CA certificates that their certificates are verified by; by default the system's.",
    )
    transit_server_name: str | None = Field(
        None, description="The name in their certificates, where it is not the host of the address."
    )
    transit_namespace: ServerPath | None = Field(None, description="The namespace, where there is one.")
    transit_mount: ServerPath = Field("transit", description="Where the Transit secrets engine is mounted.")
    transit_key: ServerName = Field("kleidi", description="The Transit key that new keys and slots are of.")
    transit_auth: str = Field(
        "token",
        description="How this node logs in: `token`, a file that an agent keeps current; `approle`; or "
        "`cert`, a TLS certificate.",
    )
    transit_auth_mount: ServerPath | None = Field(
        None, description="Where that auth method is mounted; by default under its own name."
    )
    transit_token_file: AbsolutePath | None = Field(None, description="The token of auth `token`.")
    transit_role_id_file: AbsolutePath | None = Field(None, description="The role id of auth `approle`.")
    transit_secret_id_file: AbsolutePath | None = Field(
        None, description="The secret id of auth `approle`, without a limit of uses; others must not read it."
    )
    transit_role: ServerName | None = Field(
        None, description="The role of auth `cert`; by default the first that fits."
    )
    transit_cert_file: AbsolutePath | None = Field(
        None, description="The client certificate of auth `cert`; read at each login."
    )
    transit_key_file: AbsolutePath | None = Field(
        None, description="Its private key; others must not read it."
    )
    transit_lanes: Count = Field(
        16, ge=1, le=64, description="How many calls may wait for Transit at a time."
    )

    transit_follow: bool = Field(
        default=False,
        description="Whether a new version of the key at the server is staged at once and promoted ten "
        "minutes later, so that `auto_rotate_period` works unattended.",
    )

    @field_validator("transit_addresses")
    @classmethod
    def _are_addresses(cls, value: str | None) -> str | None:
        found = [_address(each) for each in (value or "").replace(",", " ").split()]
        if len(set(found)) < len(found):
            raise ValueError("names one server twice")
        return " ".join(found) or None

    @field_validator("transit_server_name")
    @classmethod
    def _is_host(cls, value: str | None) -> str | None:
        if value is not None and not _HOST.fullmatch(value):
            raise ValueError("is not a host's name")
        return value

    @field_validator("transit_auth")
    @classmethod
    def _is_offered(cls, value: str) -> str:
        if value not in _FILES:
            raise ValueError(_NOT_OFFERED.get(value, f"must be {', '.join(_FILES)}"))
        return value

    @model_validator(mode="after")
    def _transit_agrees(self) -> Self:
        wanted = _FILES[self.transit_auth]
        for auth, names in _FILES.items():
            for name in names:
                given = getattr(self, f"transit_{name}") is not None
                if given and auth != self.transit_auth:
                    raise ValueError(
                        f"KLEIDI_TRANSIT_{name.upper()} contradicts KLEIDI_TRANSIT_AUTH={self.transit_auth}"
                    )
                if self.transit_addresses and name in wanted and not given:
                    raise ValueError(
                        f"KLEIDI_TRANSIT_AUTH={self.transit_auth} needs KLEIDI_TRANSIT_{name.upper()}"
                    )
        return self


def _address(text: str) -> str:
    """`https://host:port`, whatever is left out of it. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme == "http":
        raise ValueError("http:// would show the token to the network; it must be https://")
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "https" or extra or not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("is not like https://vault.example.com:8200")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{host}:{parts.port or 8200}"
