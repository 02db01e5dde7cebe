"""What newcomers are told to touch, run and read is there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import LINK
from tests.reference import CHECKOUT

PAGES = [CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs" / "contributing").glob("*.md"))]
ROOMS = ("appliance/", "container/", "docs/", "proto/", "softhsm/", "tests/")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def names(text: str) -> list[str]:
    """What stands in backticks and looks like a file of the checkout."""
    spans = re.findall(r"`([^`\s]+)`", text)
    return [
        span for span in spans if span.startswith(ROOMS) or re.fullmatch(r"\w[\w-]*\.(md|toml|lock)", span)
    ]


@pages
def test_its_files_are_there(page: Path) -> None:
    found = names(page.read_text())
    assert found
    assert [name for name in found if not (CHECKOUT / name).exists()] == []


@pages
def test_its_targets_of_make_are_there(page: Path) -> None:
    makefiles = (CHECKOUT / "Makefile").read_text() + (CHECKOUT / "container" / "container.mk").read_text()
    for line in re.findall(r"^make ([a-z -]+)|`make ([a-z -]+)", page.read_text(), re.MULTILINE):
        for target in "".join(line).split():
            assert re.search(rf"^{target}:", makefiles, re.MULTILINE), target


def test_every_page_is_linked_from_contributing() -> None:
    linked = {CHECKOUT / target for target, _ in LINK.findall(PAGES[0].read_text())}
    assert set(PAGES[1:]) <= linked
