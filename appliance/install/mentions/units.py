"""The words of what systemd starts: k3s's installer puts options there, and whoever needs no distribution."""

from collections.abc import Iterator

from appliance.install.mentions import reading
from appliance.install.mentions.mention import split
from appliance.install.rooted import Rooted

DIRECTORY = "/etc/systemd/system"
# In bytes.
_MOST = 64 * 1024


def words(node: Rooted, name: str) -> Iterator[tuple[str, list[str]]]:
    """For each file of the service *name*: its path, and the words of its ExecStart."""
    unit = f"{DIRECTORY}/{name}.service"
    for path in (unit, *node.names(f"{unit}.d")):
        with reading.readable(node, path):
            text = (node.read(path, _MOST) or b"").decode(errors="replace")
        commands = [
            line.partition("=")[2]
            for line in text.replace("\\\n", " ").splitlines()
            if line.startswith("ExecStart=")
        ]
        if commands:
            yield path, list(split(commands))
