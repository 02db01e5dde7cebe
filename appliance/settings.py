"""Everything an operator can set: the only reader of the environment and of the configuration file."""

import difflib
import grp
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from appliance import faults
from appliance.backup.age import Recipients
from appliance.endpoint import socket_path
from appliance.faults import KleidiError
from appliance.keys.key_id import LINEAGE
from appliance.provision.plan import Policy

PREFIX = "KLEIDI_"
CONFIG_FILE = PREFIX + "CONFIG_FILE"


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _octal(value: object) -> object:
    """Modes are written as chmod writes them: 0660."""
    return int(value, 8) if isinstance(value, str) else value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
SocketPath = Annotated[Path, BeforeValidator(lambda value: socket_path(str(value)))]


class Settings(BaseSettings):
    """The environment wins over the file. No setting holds a secret: those live in files of their own."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    provision: Policy = Field(
        Policy.NEVER,
        description="Whether this node may make the cluster's first key: `auto` on the first or only node, "
        "`join` on the others, `never` once a key exists.",
    )
    volume_dir: AbsolutePath = Field(
        Path("/var/lib/kleidi"), description="The persistent volume with the sealed generations."
    )
    allow_unmounted: bool = Field(
        default=False,
        description="Allow a first key on a volume directory that is not a mount point (for demos).",
    )
    memory_dir: AbsolutePath = Field(
        Path("/dev/shm/kleidi"),  # noqa: S108  checked to be a tmpfs, private directories below it
        description="A tmpfs directory for the open token; nothing in it outlives its process.",
    )
    slot: Literal["file", "volume"] = Field(
        "file",
        description="Where the seal key is kept: `file`, outside the volume, or `volume`, beside the seal, "
        "which protects nothing and is for demos.",
    )
    seal_key_file: AbsolutePath | None = Field(
        None,
        description="The seal key, 32 random bytes, for slot `file`; made at first boot if it can be. "
        "Default: /etc/kleidi/seal.key.",
    )
    anchor_file: AbsolutePath | None = Field(
        None,
        description="Where lineage and generation are remembered outside the volume. "
        "Default: anchor.json beside the seal key of slot `file`; none for slot `volume`.",
    )
    expect_lineage: str | None = Field(
        None, description="The only lineage to serve, where no anchor can be written."
    )
    socket: SocketPath = Field(
        Path("/run/kleidi/kms.sock"),
        description="Where the API server finds us: a path, or the endpoint as `unix:///path`.",
    )
    socket_mode: Annotated[int, BeforeValidator(_octal), Field(ge=0, le=0o777)] = Field(
        0o660, description="Permissions of that socket, in octal; who can write to it can decrypt."
    )
    socket_group: str | None = Field(
        None, description="Group of that socket, a name or a number; by default the process's own."
    )
    admin_socket: SocketPath = Field(
        Path("/run/kleidi-admin/admin.sock"),
        description="Where the command line finds the server; in a directory the API server does not share.",
    )
    provider_name: str = Field(
        "kleidi",
        pattern=r"^[^:\s]{1,100}$",
        description="The provider's `name` in the EncryptionConfiguration; part of every stored object.",
    )
    softhsm_module: AbsolutePath | None = Field(
        None, description="libsofthsm2.so, where it is not in one of the usual places."
    )
    call_seconds: float = Field(
        2.5, gt=0, lt=60, description="How long a call may take; keep it below the API server's `timeout`."
    )
    queue_size: int = Field(1024, ge=16, description="How many calls may wait for the token.")
    probe_seconds: float = Field(
        10.0, gt=0, le=60, description="How often the token proves itself with a real round trip."
    )
    destroy_wait_hours: float = Field(
        168.0, ge=0, description="How long a key must have been disabled before it can be destroyed."
    )
    invitation_hours: float = Field(
        24.0, gt=0, le=168, description="How long `kleidi node invite` waits for the keys of another node."
    )
    backup_recipients: str | None = Field(
        None,
        description="Age public keys (age1…), separated by commas or blanks: a bundle for them is written "
        "ahead of every commit, and the commit fails when it cannot be.",
    )
    backup_dir: AbsolutePath | None = Field(
        None, description="Where bundles are written; outside the volume. None is ever removed."
    )
    require_backup: bool = Field(
        default=False,
        description="Refuse to promote a key before `kleidi backup verify` has seen all keys in one bundle.",
    )
    log_format: Literal["json", "text"] = Field("json", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not asked: a .env file is not ours
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no setting is a secret
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get(CONFIG_FILE)
        if path is None:
            return (init_settings, env_settings)
        Path(path).read_bytes()  # the source below takes a missing file for an empty one
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(path)))

    @field_validator("expect_lineage")
    @classmethod
    def _is_lineage(cls, value: str | None) -> str | None:
        if value is not None and not LINEAGE.fullmatch(value):
            raise ValueError("a lineage is 12 hexadecimal digits")
        return value

    @field_validator("backup_recipients")
    @classmethod
    def _are_recipients(cls, value: str | None) -> str | None:
        names = (value or "").replace(",", " ").split()
        try:
            return " ".join(Recipients(tuple(names)).names) if names else None
        except KleidiError as error:
            raise ValueError(error.detail) from None

    @field_validator("socket_group")
    @classmethod
    def _is_group(cls, value: str | None) -> str | None:
        if value is not None and not value.isdigit():
            try:
                grp.getgrnam(value)
            except KeyError:
                raise ValueError(f"there is no group {value!r}") from None
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that are each fine and cannot hold together; every line names the settings."""
        if self.slot == "volume" and self.seal_key_file is not None:
            raise ValueError("KLEIDI_SEAL_KEY_FILE contradicts KLEIDI_SLOT=volume: its key is on the volume")
        if self.slot == "file" and self.seal_key.is_relative_to(self.volume_dir):
            raise ValueError(
                "KLEIDI_SEAL_KEY_FILE must not be on the volume that it opens (KLEIDI_VOLUME_DIR)"
            )
        if self.anchor is not None and self.anchor.is_relative_to(self.volume_dir):
            raise ValueError("KLEIDI_ANCHOR_FILE must be outside of KLEIDI_VOLUME_DIR to notice its loss")
        if self.admin_socket.parent == self.socket.parent:
            raise ValueError("KLEIDI_ADMIN_SOCKET must not share a directory with KLEIDI_SOCKET")
        for name, path in (("KLEIDI_SOCKET", self.socket), ("KLEIDI_ADMIN_SOCKET", self.admin_socket)):
            if path.is_relative_to(self.volume_dir):
                raise ValueError(f"{name} must not be on the volume (KLEIDI_VOLUME_DIR): it is foreign there")
        if self.memory_dir.is_relative_to(self.volume_dir):
            raise ValueError("KLEIDI_MEMORY_DIR must not be on the volume (KLEIDI_VOLUME_DIR)")
        if self.backup_dir is not None and self.backup_dir.is_relative_to(self.volume_dir):
            raise ValueError("KLEIDI_BACKUP_DIR must not be on the volume (KLEIDI_VOLUME_DIR): both may go")
        if self.backup_recipients and self.backup_dir is None:
            raise ValueError("KLEIDI_BACKUP_RECIPIENTS needs a KLEIDI_BACKUP_DIR to write to")
        return self

    @property
    def seal_key(self) -> Path:
        if self.slot == "volume":
            return self.volume_dir / "seal.key"
        return self.seal_key_file or Path("/etc/kleidi/seal.key")

    @property
    def anchor(self) -> Path | None:
        if self.anchor_file is None and self.slot == "file":
            return self.seal_key.with_name("anchor.json")
        return self.anchor_file

    @property
    def socket_gid(self) -> int | None:
        if self.socket_group is None:
            return None
        return (
            int(self.socket_group) if self.socket_group.isdigit() else grp.getgrnam(self.socket_group).gr_gid
        )


def load() -> Settings:
    """Read file and environment. Raises KleidiError of E-CONFIG whose detail names the setting."""
    _refuse_unknown()
    try:
        return Settings()
    except ValidationError as error:
        raise KleidiError(faults.CONFIG, "; ".join(_complaints(error))) from None
    except (OSError, ValueError) as error:  # the file: not there, not readable, not TOML
        raise KleidiError(faults.CONFIG, f"{CONFIG_FILE}: {error}") from None


def _refuse_unknown() -> None:
    """pydantic-settings passes over names that it does not know; a misspelt one must not be lost."""
    known = [CONFIG_FILE, *(PREFIX + name.upper() for name in Settings.model_fields)]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise KleidiError(faults.CONFIG, f"{name} is not a setting{hint}")


def _complaints(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        where = PREFIX + "_".join(str(part) for part in item["loc"]).upper() + ": " if item["loc"] else ""
        lines.append(where + item["msg"].removeprefix("Value error, "))
    return lines
