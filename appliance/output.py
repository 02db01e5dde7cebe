"""What PID 1 prints: supervisord's own lines, in the form of the programs'."""

import json
import os
import time
from contextlib import suppress
from typing import Any

from supervisor.loggers import Handler, LevelsByName

WORDS = {
    LevelsByName.WARN: "warning",
    LevelsByName.ERRO: "error",
    LevelsByName.CRIT: "critical",
}


class Lines(Handler):  # type: ignore[misc]  # supervisor has no types
    """supervisord's log on stderr, in the forms of appliance/logs.py (which would bring `logging` along)."""

    # Only the environment is asked; the file that may set it as well takes a parser to read.
    json = os.environ.get("KLEIDI_LOG_FORMAT") != "text"

    def __init__(self, level: int) -> None:
        super().__init__()
        self.setLevel(level)

    def emit(self, record: Any) -> None:  # noqa: ANN401
        level, text = WORDS.get(record.level, "info"), record.asdict()["message"]
        if self.json:
            line = json.dumps({"ts": round(time.time() * 1000, 3), "level": level, "msg": text})
        else:
            line = f"{time.strftime('%H:%M:%S')} {level:7} {text}"
        with suppress(OSError):  # that nobody listens any more is no reason to stop working
            os.write(2, f"{line}\n".encode(errors="replace"))

    def close(self) -> None:
        """Nothing was opened."""
