"""The pages as data: their blocks of shell, their links, the errors that they name.

A block is marked behind its fence: `sh run` is run by the one module here whose PAGES has the page;
`sh not run: REASON` tells why it is not, in words of REASONS, which docs/contributing/tests.md explains.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
EVERY = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

RUN, NOT_RUN = "sh run", "sh not run: "
REASONS = {
    "needs a cluster": "a kubelet, an API server and what they store",
    "needs the image": "builds or runs it; `make container-test` does both with the same targets and options",
    "is a suite itself": "a target of the Makefile that would run the tests again",
    "changes the machine": "its services, or files outside of a directory of the test's own",
    "names an example": "an id or a file that stands for the reader's own",
}
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")
_BLOCK = re.compile(r"^```(?P<mark>.*)\n(?P<text>(?s:.*?))^```$", re.MULTILINE)
_SHELL = re.compile(r"(sh|bash|shell|console)\b")
_BLOCK_SECONDS = 120


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.mark == RUN

    @property
    def reason(self) -> str:
        """Why it is not run; empty when that is not told."""
        return self.mark.removeprefix(NOT_RUN) if self.mark.startswith(NOT_RUN) else ""


def blocks(page: Path) -> list[Block]:
    """All that is shell, or has no language and could be."""
    text = page.read_text()
    found = [
        Block(page, text.count("\n", 0, each.start()) + 1, each["mark"].strip(), each["text"])
        for each in _BLOCK.finditer(text)
    ]
    return [block for block in found if _SHELL.match(block.mark)]


def to_run(page: Path) -> list[str]:
    return [block.text for block in blocks(page) if block.runs]


def run(scripts: Iterable[str], where: Path, environment: Mapping[str, str]) -> list[str]:
    """Each script in a shell of its own, as a reader types it; what they printed."""
    printed = []
    for script in scripts:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=where,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BLOCK_SECONDS,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed


def without_settings() -> dict[str, str]:
    """The environment of a reader who has set nothing."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}


def dead_links(page: Path) -> list[str]:
    """Targets of *page* that are not there, as a file or as a heading of one."""
    found = []
    for target, anchor in LINK.findall(page.read_text()):
        place = page.parent / target if target else page
        if "://" not in target and (not place.exists() or (anchor and anchor not in anchors(place))):
            found.append(f"{target}#{anchor}" if anchor else target)
    return found


def anchors(page: Path) -> set[str]:
    """As forges make them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
