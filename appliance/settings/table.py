"""The table of settings: name, what a value must be like, default, meaning, and what must agree with what."""

from itertools import combinations
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from appliance.endpoint import HEALTH_NAME, KMS_SOCKET, socket_path
from appliance.faults import KleidiError
from appliance.keys.key_id import LINEAGE
from appliance.provision.policy import Policy
from appliance.settings.transit import TransitSettings
from appliance.settings.values import (
    AbsolutePath,
    Count,
    Group,
    HttpAddress,
    MemoryPath,
    Mode,
    ModuleParameters,
    Number,
    ObjectLabel,
    ProviderName,
    SlotKind,
    SocketPath,
    TokenNames,
    Wait,
    gid,
    token_names,
)
from appliance.slots import BY_ITSELF

PREFIX = "KLEIDI_"
# What is no setting of its own.
DERIVED = ("seal_key", "anchor", "pkcs11_names", "socket_gid")


class _Own(BaseSettings):
    """All but those of an engine out of the house."""

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
    memory_dir: MemoryPath = Field(
        Path("/dev/shm/kleidi"),  # noqa: S108  checked to be a tmpfs, private directories below it
        description="A tmpfs directory for the open token; nothing in it outlives its process.",
    )
    slot: SlotKind = Field(
        "file",
        description="What opens the seal at every start: "
        + "; ".join(f"`{kind.name}`, {kind.about}" for kind in BY_ITSELF)
        + ".",
    )
    seal_key_file: AbsolutePath | None = Field(
        None,
        description="The seal key, 32 random bytes, for slot `file`; made at first boot if it can be. "
        "Every slot but `volume` keeps the mark of use beside it. Default: /etc/kleidi/seal.key.",
    )
    anchor_file: AbsolutePath | None = Field(
        None,
        description="Where lineage and generation are remembered outside the volume. "
        "Default: anchor.json beside the seal key; none for slot `volume`.",
    )
    recovery: str | None = Field(
        None,
        description="An age public key (age1…): a first generation opens by its identity as well, as a slot "
        "`recovery`.",
    )
    tpm: SocketPath = Field(
        Path("/dev/tpmrm0"),
        description="The TPM 2.0 of slot `tpm`: its device, or a Unix socket that takes its commands.",
    )
    expect_lineage: str | None = Field(
        None, description="The only lineage to serve, where no anchor can be written."
    )
    socket: SocketPath = Field(
        KMS_SOCKET,
        description="Where the API server finds us: a path, or the endpoint as `unix:///path`.",
    )
    socket_mode: Mode = Field(
        0o660, description="Permissions of that socket, in octal; who can write to it can decrypt."
    )
    socket_group: Group | None = Field(
        None, description="Group of that socket, a name or a number; by default the process's own."
    )
    admin_socket: SocketPath = Field(
        Path("/run/kleidi-admin/admin.sock"),
        description="Where the command line finds the server; in a directory the API server does not share.",
    )
    http: HttpAddress = Field(
        "",
        description="Where health can be asked by TCP as well, by every user of this machine: "
        "`127.0.0.1:PORT`; empty, on the Unix socket alone.",
    )
    provider_name: ProviderName = Field(
        "kleidi",
        description="The provider's `name` in the EncryptionConfiguration; part of every stored object.",
    )
    engine: Literal["softhsm", "transit", "pkcs11"] = Field(
        "softhsm",
        description="Who makes new keys; those that there are stay where they are, and are served beside.",
    )
    softhsm_module: AbsolutePath | None = Field(
        None, description="libsofthsm2.so, where it is not in one of the usual places."
    )
    pkcs11_module: AbsolutePath | None = Field(
        None, description="The PKCS#11 library of a hardware module's vendor, where keys lie in one."
    )
    pkcs11_token: TokenNames | None = Field(
        None, description="Which token of it, as `serial=…`, `label=…`, or both with a `;` between them."
    )
    pkcs11_pin_file: AbsolutePath | None = Field(
        None, description="The token's user PIN: one line, in a file that nobody else can read."
    )
    pkcs11_parameters: ModuleParameters | None = Field(
        None, description="What the library wants to be told when it starts; most want nothing."
    )
    pkcs11_lanes: Count = Field(
        4, ge=1, le=64, description="How many calls go into the library at a time, a session each."
    )
    pkcs11_slot_key: ObjectLabel = Field(
        "kleidi-slot",
        description="The label of the RSA key pair in the token by which the slot `hsm` opens the seal.",
    )
    transport: Literal["nghttp2", "grpcio"] = Field(
        "nghttp2", description="The library that carries calls on the sockets."
    )
    call_seconds: Number = Field(
        2.5,
        ge=0.1,
        lt=60,
        description="How long a call may take; keep it below the API server's `timeout`.",
    )
    queue_size: Count = Field(1024, ge=16, le=16384, description="How many calls may wait for the token.")
    probe_seconds: Number = Field(
        10.0, ge=1, le=60, description="How often the token proves itself with a real round trip."
    )
    destroy_wait_hours: Wait = Field(
        168.0,
        ge=0,
        le=87600,
        description="How long a key must have been disabled before it can be destroyed.",
    )
    invitation_hours: Number = Field(
        24.0,
        ge=0.01,
        le=168,
        description="How long `kleidi node invite` waits for the keys of another node.",
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
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not asked: a .env file is not ours
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  no setting is a secret
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)

    @field_validator("expect_lineage")
    @classmethod
    def _is_lineage(cls, value: str | None) -> str | None:
        if value is not None and not LINEAGE.fullmatch(value):
            raise ValueError("a lineage is 12 hexadecimal digits")
        return value

    @field_validator("recovery")
    @classmethod
    def _is_recipient(cls, value: str | None) -> str | None:
        found = cls._are_recipients(value)
        if found and " " in found:
            raise ValueError("give one age public key")
        return found

    @field_validator("backup_recipients")
    @classmethod
    def _are_recipients(cls, value: str | None) -> str | None:
        names = (value or "").replace(",", " ").split()
        try:
            from appliance.age.key_pairs import Recipients

            return " ".join(Recipients(tuple(names)).names) if names else None
        except KleidiError as error:
            raise ValueError(error.detail) from None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Settings that are each fine and cannot hold together; every line names the settings."""
        if self.slot == "volume" and self.seal_key_file is not None:
            raise ValueError("KLEIDI_SEAL_KEY_FILE contradicts KLEIDI_SLOT=volume: its key is on the volume")
        if self.slot != "volume" and self.seal_key.is_relative_to(self.volume_dir):
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

    @model_validator(mode="after")
    def _reach_a_token(self) -> Self:
        """A hardware module is set as a whole, and lies where nothing of ours writes."""
        others = ("token", "pin_file", "parameters")
        if self.pkcs11_module is None:
            if alone := [name for name in others if getattr(self, f"pkcs11_{name}") is not None]:
                raise ValueError(f"KLEIDI_PKCS11_{alone[0].upper()} needs a KLEIDI_PKCS11_MODULE")
        elif self.pkcs11_token is None:
            raise ValueError("KLEIDI_PKCS11_MODULE needs a KLEIDI_PKCS11_TOKEN: none is taken by chance")
        for name, path in (("MODULE", self.pkcs11_module), ("PIN_FILE", self.pkcs11_pin_file)):
            if path is not None and path.is_relative_to(self.volume_dir):
                raise ValueError(f"KLEIDI_PKCS11_{name} must not be on the volume (KLEIDI_VOLUME_DIR)")
        return self

    @model_validator(mode="after")
    def _lie_apart(self) -> Self:
        """No two things of ours are at one path, whether it was set or not."""
        health = socket_path(str(self.admin_socket.with_name(HEALTH_NAME)))
        found = {
            "KLEIDI_VOLUME_DIR": self.volume_dir,
            "KLEIDI_MEMORY_DIR": self.memory_dir,
            "KLEIDI_SEAL_KEY_FILE": self.seal_key,
            "KLEIDI_ANCHOR_FILE": self.anchor,
            "KLEIDI_SOCKET": self.socket,
            "KLEIDI_ADMIN_SOCKET": self.admin_socket,
            "KLEIDI_SOFTHSM_MODULE": self.softhsm_module,
            "KLEIDI_BACKUP_DIR": self.backup_dir,
            "KLEIDI_PKCS11_MODULE": self.pkcs11_module,
            "KLEIDI_PKCS11_PIN_FILE": self.pkcs11_pin_file,
            f"the probes' socket beside KLEIDI_ADMIN_SOCKET ({health})": health,
        }
        for (one, path), (other, same) in combinations(found.items(), 2):
            if path is not None and path == same:
                raise ValueError(f"{one} and {other} must not be the same path")
        return self

    @property
    def seal_key(self) -> Path:
        """Where the seal key is, whether it was set or not: on the volume for slot `volume`."""
        if self.slot == "volume":
            return self.volume_dir / "seal.key"
        return self.seal_key_file or Path("/etc/kleidi/seal.key")

    @property
    def anchor(self) -> Path | None:
        """Where the anchor is; None where nothing is remembered outside the volume."""
        if self.anchor_file is None and self.slot != "volume":
            return self.seal_key.with_name("anchor.json")
        return self.anchor_file

    @property
    def pkcs11_names(self) -> tuple[str, str]:
        """The token's serial and label; one of them, or both where none is set, may be empty."""
        return token_names(self.pkcs11_token) if self.pkcs11_token else ("", "")

    @property
    def socket_gid(self) -> int | None:
        return None if self.socket_group is None else gid(self.socket_group)


class Settings(TransitSettings, _Own):
    """Arguments are what the file says; the environment wins over them. No setting holds a secret."""

    @model_validator(mode="after")
    def _engine_is_told(self) -> Self:
        if self.engine == "transit" and not self.transit_addresses:
            raise ValueError("KLEIDI_ENGINE=transit needs KLEIDI_TRANSIT_ADDRESSES")
        if self.engine == "pkcs11" and self.pkcs11_module is None:
            raise ValueError("KLEIDI_ENGINE=pkcs11 needs a KLEIDI_PKCS11_MODULE")
        if self.slot == "transit" and not self.transit_addresses:
            raise ValueError("KLEIDI_SLOT=transit needs KLEIDI_TRANSIT_ADDRESSES")
        if self.slot == "hsm" and self.pkcs11_module is None:
            raise ValueError("KLEIDI_SLOT=hsm needs a KLEIDI_PKCS11_MODULE")
        return self
