"""A module that calls itself Pure is: values in, values out; no clock, no file, no process."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parents[2]
# What no import tells: how a path asks the disk and a date the clock, and what is there without any import.
_METHODS = {*dir(Path), "now", "today", "utcnow"} - {
    name for innocent in (PurePath, str, dict, re.Match) for name in dir(innocent)
}
_BUILTINS = {"open", "input", "print"}


def name(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def pure() -> set[str]:
    """Modules whose docstring says so; a package says it of all that is in it."""
    documented = {path: ast.get_docstring(ast.parse(path.read_text())) for path in every("appliance")}
    return {name(path) for path, said in documented.items() if re.search(r"\bPure\b", said or "")}


def every(package: str) -> list[Path]:
    """The modules of a package, or the one module of that name."""
    path = ROOT.joinpath(*package.split("."))
    return sorted(path.rglob("*.py")) or [path.with_suffix(".py")]


def reached(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=used) if used in _METHODS:
                yield f"line {node.lineno}: .{used}"
            case ast.Call(func=ast.Name(id=used)) if used in _BUILTINS:
                yield f"line {node.lineno}: {used}()"


def test_who_says_so_is_held_to_it_and_nobody_else() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (core,) = (contract for contract in contracts if contract["name"] == "The core is pure")
    assert core["source_modules"] == sorted(pure())


@pytest.mark.parametrize("module", sorted(pure()))
def test_nothing_is_reached_that_no_import_tells_of(module: str) -> None:
    found = [f"{name(path)}, {reach}" for path in every(module) for reach in reached(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "breach",
    ["root.is_dir()", "Path.cwd()", "path.read_text()", "open('/etc/hosts')", "datetime.now(UTC)", "print()"],
)
def test_such_a_reach_is_seen(breach: str) -> None:
    assert [*reached(f"def judge():\n    return {breach}")]
