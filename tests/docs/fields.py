"""The fields of log lines as docs/logs.md lists them."""

import re
from functools import lru_cache

from tests.docs.pages import DOCS

PAGE = DOCS / "logs.md"
_ROW = re.compile(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", re.MULTILINE)


@lru_cache(maxsize=1)
def documented() -> set[str]:
    return {name for row in _ROW.findall(PAGE.read_text()) for name in re.findall(r"[a-z_]+", row)}
