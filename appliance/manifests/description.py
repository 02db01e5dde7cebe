"""What the manifests are made from: one node's appliance, described once."""

import re
from dataclasses import dataclass
from enum import StrEnum

from appliance import __version__
from appliance.manifests import plain
from appliance.manifests.engines import SOFTHSM, Engine
from appliance.manifests.slots import AS_IT_WAS, Slot
from appliance.manifests.tpm import Tpm

_PROVIDER = re.compile(r"[a-z][a-z0-9.-]{0,99}")
_NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # YAML 1.1, which Go's reader takes
# The user that the image is built with (Containerfile).
IMAGE_USER = 10001
_LAST_GROUP = 2**31 - 1  # apimachinery, pkg/util/validation: IsValidGroupID
# Nothing pulls an image of this registry's name: it is there, or it is not.
_LOCAL = "localhost/"
CONFIG_NAME = "encryption-config.yaml"


class Role(StrEnum):
    """What KLEIDI_PROVISION says: only one node of a cluster may ever make its first key."""

    FIRST = "auto"
    JOIN = "join"


class User(StrEnum):
    """Who the appliance is: root without a capability, or the image's user on prepared directories."""

    ROOT = "root"
    NONROOT = "nonroot"


@dataclass(frozen=True)
class Description:
    """Raises ValueError for a value that no manifest could carry as it is."""

    role: Role = Role.JOIN
    user: User = User.ROOT
    image: str = f"{_LOCAL}kleidi:{__version__}"
    provider: str = "kleidi"
    volume: str = "/var/lib/kleidi"
    secrets: str = "/etc/kleidi"  # the seal key and the anchor
    # The EncryptionConfiguration and nothing else: the API server sees all of this directory.
    config: str = "/etc/kubernetes/kleidi"
    sockets: str = "/run/kleidi"
    admin: str = "/run/kleidi-admin"
    # For an API server that is not root, its group, by number: the image knows none of the node's names.
    socket_group: int | None = None
    engine: Engine = SOFTHSM
    slot: Slot = AS_IT_WAS
    # None where the appliance is not given the node's TPM.
    tpm: Tpm | None = None

    def __post_init__(self) -> None:
        for value in (self.image, self.provider, *self.directories):
            plain.check(value)
        if not _PROVIDER.fullmatch(self.provider) or self.provider in _NOT_TEXT:
            raise ValueError(f"{self.provider!r} is no provider name that everybody would read as text")
        if self.socket_group is not None and not 0 < self.socket_group <= _LAST_GROUP:
            raise ValueError(f"{self.socket_group} is no group that a pod can have: 1 to {_LAST_GROUP}")
        for directory in self.directories:
            plain.check_path(directory)
        self._check_apart()

    def _check_apart(self) -> None:
        for seen in (self.sockets, self.config):
            for kept in (self.volume, self.secrets, self.admin):
                if plain.overlap(seen, kept):
                    raise ValueError(f"{seen} is shown to the API server and must be apart from {kept}")
        for shown in self.engine.shown:
            for own in self.directories:
                if plain.overlap(shown, own):
                    raise ValueError(f"{shown} has what others put there and must be apart from {own}")

    @property
    def directories(self) -> tuple[str, ...]:
        return (self.volume, self.secrets, self.config, self.sockets, self.admin)

    @property
    def uid(self) -> int:
        return 0 if self.user is User.ROOT else IMAGE_USER

    @property
    def socket_gid(self) -> int:
        """Who may search the socket's directory beside its owner."""
        return self.uid if self.socket_group is None else self.socket_group

    @property
    def socket(self) -> str:
        return f"{self.sockets}/kms.sock"

    @property
    def encryption_config(self) -> str:
        return f"{self.config}/{CONFIG_NAME}"

    @property
    def pull(self) -> str:
        """Never for a loaded image: pulls that fail back off to five minutes, missing images do not."""
        return "Never" if self.image.startswith(_LOCAL) else "IfNotPresent"

    @property
    def settings(self) -> dict[str, str]:
        """What differs from the defaults, and the role, which nobody should have to look up."""
        default = "/run/kleidi/kms.sock"
        return {
            "KLEIDI_PROVISION": self.role.value,
            **({"KLEIDI_PROVIDER_NAME": self.provider} if self.provider != "kleidi" else {}),
            **({"KLEIDI_SOCKET": self.socket} if self.socket != default else {}),
            **({"KLEIDI_SOCKET_GROUP": str(self.socket_group)} if self.socket_group is not None else {}),
            **self.engine.settings,
            **self.slot.settings,
        }

    @property
    def decides(self) -> frozenset[str]:
        """Settings that it says anew each time, so that what an older manifest says of them is over."""
        return self.engine.decides | self.slot.decides

    @property
    def headline(self) -> str:
        node = (
            "the cluster's first node, which makes the key" if self.role is Role.FIRST else "a joining node"
        )
        return f"Written by `kleidi manifests` for {node}."

    @property
    def brought(self) -> str:
        """The node's directory for what an operator brings for the engine, whether there is any or not."""
        return f"{self.secrets}/{self.engine.name}"
