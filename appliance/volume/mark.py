"""The mark of use, outside the volume: a volume was sealed here before, so an empty one was emptied."""

from pathlib import Path

from appliance import regular
from appliance.volume import durable

_SIZE = 64  # bytes: a lineage and a line break


class Marked:
    """Whatever opens by itself has one beside *path*: a volume was sealed with it, of that lineage."""

    path: Path

    @property
    def _mark(self) -> Path:
        return self.path.with_name(self.path.name + ".used")

    def used(self) -> bool:
        """Whether a volume was ever sealed with it. A mark that cannot be looked at counts."""
        try:
            self._mark.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def used_for(self) -> str:
        """The lineage that the mark names; empty when it names none."""
        try:
            return regular.read(self._mark, _SIZE, follow=True).decode().strip()
        except (OSError, ValueError):
            return ""

    def mark_used(self, lineage: str) -> None:
        """Remember that. Raises OSError."""
        if not self.used():
            durable.write(self._mark, f"{lineage}\n".encode(), 0o444)
