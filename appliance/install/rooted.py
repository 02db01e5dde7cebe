"""A node below a root directory: its paths as the node itself follows them, and never out of it."""

import errno
import os
from pathlib import Path

from appliance import regular

# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


class Rooted:
    """Paths go in and come out as the node has them, from its own `/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, path: str) -> Path:
        """Where it is from here."""
        return self.root / path.lstrip("/")

    def real(self, path: str) -> str:
        """The node's one name for *path*: links followed, `//`, `.` and `..` gone; what is missing stays.

        Raises OSError for links without an end.
        """
        rest, found, links = path.split("/")[::-1], list[str](), 0
        while rest:
            match rest.pop():
                case "" | ".":
                    continue
                case "..":
                    found = found[:-1]
                    continue
                case part:
                    found = [*found, part]
            target = self._link("/".join(found))
            if target is None:
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            rest += target.split("/")[::-1]
            found = [] if target.startswith("/") else found[:-1]
        return "/" + "/".join(found)

    def _link(self, path: str) -> str | None:
        try:
            return str(self.at(path).readlink())
        except FileNotFoundError:
            # A link everywhere (FHS 3.0), which a root that was laid out in part may lack.
            return "/run" if path == "var/run" else None
        except (OSError, ValueError):  # no link, or no path at all
            return None

    def read(self, path: str, most: int) -> bytes | None:
        """A regular file of at most *most* bytes, None where there is none. Raises OSError for others."""
        try:
            return regular.read(self.at(self.real(path)), most)
        except FileNotFoundError:
            return None

    def names(self, directory: str) -> list[str]:
        """The paths in it, hidden ones left out, in order; none where there is no directory."""
        try:
            found = sorted(path.name for path in self.at(self.real(directory)).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [f"{directory}/{name}" for name in found if not name.startswith(".")]
