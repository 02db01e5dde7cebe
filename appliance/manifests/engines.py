"""What each engine wants of a node beside a volume: settings, files that are brought, directories."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import ClassVar

from appliance.manifests import plain

# Where the directory with the seal key is in the container, whatever it is called on the node.
SECRETS = "/etc/kleidi"
# What no directory of the node may hide there: the appliance's own mounts, and what it is made of.
_OURS = (SECRETS, "/var/lib/kleidi", "/run/kleidi", "/run/kleidi-admin", "/dev", "/opt/kleidi")
_SYSTEM = ("/bin", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
# `/opt` or `/etc` whole would hide, or show, much more than a library.
_LEAST_DEPTH = 2
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+(\.[0-9.]+)?\]"
_ADDRESS = re.compile(rf"https://({_HOST})(:[0-9]{{1,5}})?")
_TOKEN = re.compile(r"(serial|label)=([^;=]+)")


class EngineName(StrEnum):
    SOFTHSM = "softhsm"
    TRANSIT = "transit"
    PKCS11 = "pkcs11"


class Auth(StrEnum):
    """How a node logs in to Transit."""

    APPROLE = "approle"
    CERT = "cert"
    TOKEN = "token"  # noqa: S105  a word of the settings


@dataclass(frozen=True)
class Brought:
    """A file that an operator puts on the node, which nothing of ours makes, reads or moves there."""

    setting: str
    name: str
    mode: int
    about: str


_CA = Brought("KLEIDI_TRANSIT_CA_FILE", "ca.crt", 0o444, "the CA certificate of the Transit servers")
_LOGIN = {
    Auth.APPROLE: (
        Brought("KLEIDI_TRANSIT_ROLE_ID_FILE", "role-id", 0o400, "the role id of AppRole"),
        Brought("KLEIDI_TRANSIT_SECRET_ID_FILE", "secret-id", 0o400, "this node's own secret id"),
    ),
    Auth.CERT: (
        Brought("KLEIDI_TRANSIT_CERT_FILE", "client.crt", 0o444, "this node's own certificate"),
        Brought("KLEIDI_TRANSIT_KEY_FILE", "client.key", 0o400, "its private key"),
    ),
    Auth.TOKEN: (
        Brought("KLEIDI_TRANSIT_TOKEN_FILE", "token", 0o400, "the token that an agent keeps current"),
    ),
}
_PIN = Brought("KLEIDI_PKCS11_PIN_FILE", "pin", 0o400, "the token's user PIN, one line")


@dataclass(frozen=True)
class Engine:
    """SoftHSM, which wants nothing. *told* is whether somebody asked for it: then no other one stays."""

    told: bool = False

    name: ClassVar = EngineName.SOFTHSM
    # Whether what it asks may be out of the node.
    network: ClassVar = False

    @property
    def brought(self) -> tuple[Brought, ...]:
        return ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Directories of the node, read-only, at the path that they have there."""
        return ()

    @property
    def settings(self) -> dict[str, str]:
        return {}

    @property
    def decides(self) -> frozenset[str]:
        """Settings that it says anew each time, so that what an older manifest says of them is over."""
        return frozenset({"KLEIDI_ENGINE"} if self.told else ())

    def beside(self, uid: int) -> str:
        """What must be in a directory of its name beside a text, and whose it is, in one line."""
        names = ", ".join(f"{each.name} ({each.mode:04o})" for each in self.brought)
        return f"In ./{self.name}, owned by user {uid}: {names}."

    def _files(self) -> dict[str, str]:
        return {each.setting: f"{SECRETS}/{self.name}/{each.name}" for each in self.brought}


SOFTHSM = Engine()


@dataclass(frozen=True)
class Transit(Engine):
    """Raises ValueError for addresses that are not https."""

    addresses: tuple[str, ...] = ()
    auth: Auth = Auth.APPROLE

    name: ClassVar = EngineName.TRANSIT
    network: ClassVar = True

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("--engine transit needs a --transit-address, https://host:8200")
        for address in self.addresses:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not like https://vault.example.com:8200")
        if len(set(self.addresses)) < len(self.addresses):
            raise ValueError("--transit-address names one server twice")

    @property
    def brought(self) -> tuple[Brought, ...]:
        return (_CA, *_LOGIN[self.auth])

    @property
    def settings(self) -> dict[str, str]:
        return {
            "KLEIDI_ENGINE": self.name.value,
            "KLEIDI_TRANSIT_ADDRESSES": ",".join(self.addresses),
            "KLEIDI_TRANSIT_AUTH": self.auth.value,
            **self._files(),
        }

    @property
    def decides(self) -> frozenset[str]:
        ways = {each.setting for files in _LOGIN.values() for each in files}
        return frozenset({*self.settings, *ways})


@dataclass(frozen=True)
class Pkcs11(Engine):
    """Raises ValueError. *directories* beside the module's own, which is shown unless the image has it."""

    module: str = ""
    names: str = ""
    directories: tuple[str, ...] = ()

    name: ClassVar = EngineName.PKCS11
    network: ClassVar = True

    def __post_init__(self) -> None:
        if not self.module or not self.names:
            raise ValueError("--engine pkcs11 needs a --pkcs11-module and a --pkcs11-token")
        plain.check_path(self.module)
        parts = [_TOKEN.fullmatch(part) for part in self.names.split(";")]
        if len({part[1] for part in parts if part}) < len(parts):
            raise ValueError(f"{self.names!r} is not like serial=1f2e;label=cluster")
        for part in parts:
            if part:
                plain.check(part[2])
        for directory in self.shown:
            plain.check_path(directory)
            if len(PurePosixPath(directory).parts) <= _LEAST_DEPTH:
                raise ValueError(f"{directory} is too much to show: name a directory of the library's own")
            if any(plain.overlap(directory, other) for other in (*_OURS, *_SYSTEM)):
                raise ValueError(f"{directory} would hide what the appliance has there")

    @property
    def brought(self) -> tuple[Brought, ...]:
        return (_PIN,)

    @property
    def shown(self) -> tuple[str, ...]:
        module = PurePosixPath(self.module)
        of_image = any(module.is_relative_to(system) for system in _SYSTEM)
        known = of_image or any(module.is_relative_to(directory) for directory in self.directories)
        return tuple(dict.fromkeys([*([] if known else [str(module.parent)]), *self.directories]))

    @property
    def settings(self) -> dict[str, str]:
        return {
            "KLEIDI_ENGINE": self.name.value,
            "KLEIDI_PKCS11_MODULE": self.module,
            "KLEIDI_PKCS11_TOKEN": self.names,
            **self._files(),
        }

    @property
    def decides(self) -> frozenset[str]:
        return frozenset(self.settings)
