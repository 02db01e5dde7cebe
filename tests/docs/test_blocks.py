"""Every page: its blocks of shell are run or say why not, its links lead somewhere, its errors exist."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from appliance import faults
from tests.docs.pages import CHECKOUT, DOCS, EVERY, REASONS, Block, blocks, dead_links

HERE = Path(__file__).parent
BLOCKS = [block for page in EVERY for block in blocks(page)]
every_page = pytest.mark.parametrize("page", EVERY, ids=lambda page: str(page.relative_to(CHECKOUT)))
_ERROR = re.compile(r"\bE-[A-Z][A-Z0-9]*(?:-[A-Z]+)*\b")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_of_shell_is_run_or_says_why_not(block: Block) -> None:
    assert block.runs or block.reason in REASONS, f"{block}: {block.mark!r}"


def runners() -> Counter[str]:
    """How many modules here run each page, by the names that stand in their PAGES."""
    found: Counter[str] = Counter()
    for module in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["PAGES"]:
                names = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
                found.update(str(name).removesuffix(".md") for name in names if str(name) != ".md")
    return found


def test_a_page_that_is_run_is_run_by_one_module() -> None:
    run = {block.page.stem for block in BLOCKS if block.runs}
    assert runners() == Counter(run)


def test_the_reasons_are_explained() -> None:
    text = (DOCS / "contributing" / "tests.md").read_text()
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |\n" in text


@every_page
def test_its_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@every_page
def test_it_names_errors_that_there_are(page: Path) -> None:
    known = {fault.id for fault in faults.every()}
    assert set(_ERROR.findall(page.read_text())) <= known
