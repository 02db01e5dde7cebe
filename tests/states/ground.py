"""What the table stands on: a scene whose server and commands have the same settings."""

import socket
from pathlib import Path

from appliance import assembly
from appliance.provision.plan import Refusal
from appliance.provision.policy import Policy
from appliance.settings import Settings
from appliance.volume.anchor import Anchor
from tests.service.scene import Scene
from tests.states.typist import SETTING


class Ground(Scene):
    """Why nothing is open is told by the appliance itself, for this *policy*."""

    policy = Policy.NEVER

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # Sockets of other programs, for as long as they live.
        self.strangers: list[socket.socket] = []
        # A directory of its own, which can go away without the seal key.
        self.remembered = root / "anchor" / "anchor.json"
        self.anchor = Anchor(self.remembered)
        self.aside = root / "aside"
        for directory in (self.remembered.parent, self.aside):
            directory.mkdir(mode=0o700)
        # As /run and /var/lib are: what is inside is ours alone, the way there is not.
        root.chmod(0o711)

    @property
    def settings(self) -> dict[str, str]:
        """As the environment has them."""
        values = {
            "PROVISION": str(self.policy),
            "SLOT": "file",
            "ALLOW_UNMOUNTED": "true",
            "VOLUME_DIR": str(self.volume.path),
            "SEAL_KEY_FILE": str(self.custody.path),
            "ANCHOR_FILE": str(self.anchor.path),
            "MEMORY_DIR": str(self.root / "memory"),
            "SOCKET": str(self.socket),
            "ADMIN_SOCKET": str(self.admin),
        }
        return {f"{SETTING}{name}": value for name, value in values.items()}

    @property
    def waiting_for(self) -> Refusal | None:
        values = {name.removeprefix(SETTING).lower(): value for name, value in self.settings.items()}
        return assembly.waiting_for(Settings.model_validate(values))

    @waiting_for.setter
    def waiting_for(self, _value: Refusal | None) -> None:
        """Nobody sets it: it is what it is."""
