"""What pages and remedies tell people to type exists: verbs, their options, targets of the Makefile."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from appliance import faults
from appliance.cli.tree import Node, grown
from appliance.cli.verbs import app
from appliance.faults import Fault
from tests.docs.pages import CHECKOUT, EVERY, blocks

ROOT = grown(typer.main.get_command(app))
VERBS = {node.path: node for node in ROOT.every() if node.path}
# Every verb has them.
ALWAYS = {"--help", "-h", "--version"}
# Of other programs, in our sentences: the API server's, etcdctl's, podman's, systemd-tmpfiles'.
THEIRS = {"--create", "--device", "--etcd-prefix", "--limit", "--keys-only"}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_SPAN = re.compile(r"`(kleidi [^`]*)`")
_TARGETS = re.compile(
    r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):",
    re.MULTILINE,
)
_ENDS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "(", ")", "#", "|&"}
every_page = pytest.mark.parametrize("page", EVERY, ids=lambda page: str(page.relative_to(CHECKOUT)))
every_fault = pytest.mark.parametrize("fault", faults.every(), ids=lambda fault: fault.id)


def commands(script: str) -> Iterator[list[str]]:
    """The words behind each `kleidi` that a verb follows, up to where its command ends."""
    lines = script.replace("\\\n", " ").replace("\n", "\n;")
    lexer = shlex.shlex(lines, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    for number, word in enumerate(words):
        rest = words[number + 1 :]
        if word.rpartition("/")[2] == "kleidi" and rest and rest[0] in VERBS:
            end = next((place for place, each in enumerate(rest) if each in _ENDS), len(rest))
            yield rest[:end]


def unknown(words: list[str]) -> list[str]:
    """Of one command's *words*, those that are neither a verb's nor an option's name."""
    path = ""
    node: Node = ROOT
    for word in words:
        longer = f"{path} {word}".strip()
        if longer not in VERBS:
            break
        path, node = longer, VERBS[longer]
    options = {name for option in node.options for name in option.names} | ALWAYS
    given = [word.partition("=")[0] for word in words if _OPTION.fullmatch(word.partition("=")[0])]
    wrong = [f"{path} {each}".strip() for each in given if each not in options]
    # A group by itself is no command; of its verbs one must follow.
    following = words[len(path.split()) :]
    return wrong + ([" ".join(words)] if node.verbs and following else []) + ([] if path else words[:1])


def told(text: str) -> list[str]:
    """What a sentence gets wrong: `kleidi …` in backticks, and options without a command."""
    wrong = []
    for span in _SPAN.findall(text):
        wrong += unknown([word.strip("[]…") for word in span.split()[1:] if word not in ("…", "...")])
    every = {name for node in VERBS.values() for option in node.options for name in option.names}
    return wrong + [each for each in _OPTION.findall(text) if each not in every | THEIRS | ALWAYS]


def test_the_check_finds_what_is_wrong() -> None:
    assert unknown(["key", "rotate", "--dry-run"]) == []
    assert unknown(["key", "rotate", "--yes"]) == ["key rotate --yes"]
    assert unknown(["key", "turn"]) == ["key turn"]
    assert told("Run `kleidi node invite` with --shout") == ["--shout"]
    (words,) = commands("podman exec kleidi kleidi status --output=json | jq . # kleidi-x\n")
    assert words == ["status", "--output=json"]


@every_page
def test_a_page_names_verbs_and_options_that_there_are(page: Path) -> None:
    wrong = [
        f"{block}: {each}"
        for block in blocks(page)
        for words in commands(block.text)
        for each in unknown(words)
    ]
    assert wrong == []


@every_page
def test_a_page_names_targets_of_the_makefile(page: Path) -> None:
    makefiles = [CHECKOUT / "Makefile", CHECKOUT / "container" / "container.mk"]
    targets = {
        target for file in makefiles for line in _TARGETS.findall(file.read_text()) for target in line.split()
    }
    named = [
        target
        for block in blocks(page)
        for line in re.findall(r"\bmake ([a-z -]+?)(?=$| [A-Z]|\s*[#&|])", block.text, re.MULTILINE)
        for target in line.split()
    ]
    assert [target for target in named if target not in targets] == []


@every_fault
def test_a_remedy_names_verbs_and_options_that_there_are(fault: Fault) -> None:
    assert told(f"{fault.sentence} {fault.remedy}") == []
