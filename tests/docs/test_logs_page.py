"""docs/logs.md lists every field that a line of our log may have, and no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.fields import documented
from tests.docs.pages import CHECKOUT

# What stands in every line, and what is handed on under names that no keyword shows.
ALWAYS = {"ts", "level", "msg", "traceback"}
HANDED_ON = {
    "appliance/telemetry/log_lines.py": {"from", "to"},
    "appliance/service/rpc/asked.py": {"key", "name", "reason", "dry_run", "by"},
    "appliance/service/rpc/calls.py": {"generation"},
    "appliance/volume/opening.py": {"by", "generation", "keyset", "kind", "recipient", "recipients"},
    "appliance/logs.py": {"key_id_hash", "left_out"},
}


def fields(source: Path) -> Iterator[str]:
    """The keywords of each event(), and what is given to `logging` itself as `extra`."""
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("event", "logs.event"):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)
        if isinstance(node, ast.Dict) and [ast.unparse(key) for key in node.keys if key] == ["'fields'"]:
            yield from _keys(node.values[0])
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "fields":
            yield from _keys(node.value)


def _keys(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Dict):
        yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def test_every_field_is_listed_and_no_other() -> None:
    logged = {name for names in HANDED_ON.values() for name in names}
    for source in sorted((CHECKOUT / "appliance").rglob("*.py")):
        if "logs.event(" in (text := source.read_text()) or "import event" in text or "extra={" in text:
            logged.update(fields(source))
    assert logged | ALWAYS == documented()
