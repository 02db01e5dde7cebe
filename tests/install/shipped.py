"""The appliance on a node that `kleidi install` prepared, with the rights that the pod gives it."""

import os
import secrets
from pathlib import Path

from tests.install.texts import read
from tests.rig import MEMORY, Appliance

POD = "etc/kubernetes/manifests/kleidi.yaml"


def make_root() -> Path:
    """A node's root in memory: pytest's directories are too long for a socket's path, and shut to others."""
    root = MEMORY / f"kleidi-node-{secrets.token_hex(4)}"
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    return root


class Shipped(Appliance):
    """The pod's text decides: user, groups, settings. The host's directories are those below *node*."""

    def __init__(self, scratch: Path, node: Path) -> None:
        spec = read((node / POD).read_text())["spec"]
        [container] = spec["containers"]
        said = {each["name"].removeprefix("KLEIDI_").lower(): each["value"] for each in container["env"]}
        # What an operator brings lies below the node's directory, too.
        said = {name: value.replace("/etc/kleidi/", f"{node}/etc/kleidi/") for name, value in said.items()}
        super().__init__(
            scratch,
            **said,
            slot="file",
            volume_dir=str(node / "var/lib/kleidi"),
            seal_key_file=str(node / "etc/kleidi/seal.key"),
            anchor_file=str(node / "etc/kleidi/anchor.json"),
            socket=str(node / "run/kleidi/kms.sock"),
            admin_socket=str(node / "run/kleidi-admin/admin.sock"),
        )
        self.volume = node / "var/lib/kleidi"
        self.socket = node / "run/kleidi/kms.sock"
        self.admin = node / "run/kleidi-admin/admin.sock"
        self._identity = spec["securityContext"]
        self.uid = self._identity["runAsUser"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        # Another user may be shut out from where the tests' own Python is. A pod has its image; here one
        # capability lets everything be read, but no file be written, no lock opened and no socket reached.
        kept = ",+dac_read_search" if self.uid else ""
        self.runner = [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self._identity['runAsGroup']}",
            *self._groups(),
            *(f"--{which}=-all{kept}" for which in ("inh-caps", "ambient-caps", "bounding-set")),
            "--no-new-privs",
        ]

    def _groups(self) -> list[str]:
        groups = self._identity.get("supplementalGroups", [])
        return [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]

    def start(self) -> None:
        for directory in (self.memory, self.memory / "memory", self.control):
            directory.mkdir(mode=0o700, exist_ok=True)
            os.chown(directory, self.uid, self.uid)
        super().start()
