"""`--help`, `--version`, the examples and what is made of the verbs: completion and manual."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from appliance import __version__
from appliance.cli.examples import EXAMPLES
from appliance.cli.help import PANELS
from appliance.cli.tree import Node, grown
from appliance.cli.verbs import app
from appliance.faults import Exit
from tests.reference import CHECKOUT

COMMAND = typer.main.get_command(app)
ROOT = grown(COMMAND)
VERBS = [node for node in ROOT.every() if not node.verbs]
verbs = pytest.mark.parametrize("node", VERBS, ids=lambda node: node.path.replace(" ", "-"))


def kleidi(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_verb_has_two_examples_and_no_other_has_any() -> None:
    assert set(EXAMPLES) == {node.path for node in VERBS}


@pytest.mark.parametrize("line", [line for pair in EXAMPLES.values() for line in pair])
def test_an_example_can_be_typed(line: str) -> None:
    words = shlex.split(line.replace("<(", " ").replace(")", " "), comments=False)
    ends = {"|", ">", "<"}
    for start in [number for number, word in enumerate(words) if word == "kleidi"]:
        rest = words[start + 1 :]
        until = next((n for n, word in enumerate(rest) if word in ends or word[0] in "<>"), len(rest))
        parsed(rest[:until])


def parsed(arguments: list[str]) -> str:
    """The verb that *arguments* are for; raises where one of them is none of its own."""
    context: Any = COMMAND.make_context("kleidi", list(arguments))
    while hasattr(context.command, "commands"):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return str(context.command_path)


@verbs
def test_an_example_is_of_its_verb(node: Node) -> None:
    assert all(f"kleidi {node.path}" in line for line in EXAMPLES[node.path])


@verbs
def test_every_option_says_what_it_is_for(node: Node) -> None:
    assert node.help
    assert [option.names for option in node.options if not option.help] == []
    # One meaning everywhere: how the answer is printed.
    assert all(option.choices for option in node.options if "-o" in option.names)


@pytest.mark.parametrize("columns", [80, 120])
def test_help_is_in_groups_and_no_sentence_of_it_is_cut(columns: int) -> None:
    done = kleidi("-h", columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^(\S.*):$", done.stdout, re.MULTILINE) == ["Options", *PANELS]
    assert all(len(line) <= columns for line in done.stdout.splitlines())
    assert "..." not in done.stdout.partition("Options:")[2]
    words = " ".join(done.stdout.split())
    assert all(" ".join(node.help.partition("\n\n")[0].split()) in words for node in ROOT.verbs)


def test_a_verbs_help_has_its_examples() -> None:
    for option in ("-h", "--help"):
        done = kleidi("key", "rotate", option)
        assert done.returncode == 0
        assert done.stdout.rstrip().endswith("\n".join(f"  {line}" for line in EXAMPLES["key rotate"]))


def test_a_group_alone_shows_its_verbs_and_is_no_success() -> None:
    done = kleidi("key")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "  rotate " in done.stderr


def test_version_is_an_option_too() -> None:
    assert kleidi("--version").stdout == kleidi("version").stdout == f"kleidi {__version__}\n"


BASH = """
source <(cat)
COMP_WORDS=({words}) COMP_CWORD={last}
_kleidi
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# What zsh's own editor would set and call (zshcompwid(1)); it takes what begins as the last word does.
ZSH = """
compdef() {{ : }}
compadd() {{ shift; print -l -- ${{(M)@:#${{words[CURRENT]}}*}} }}
_files() {{ : }}
source =(cat)
words=({words}) CURRENT=$(({last} + 1))
_kleidi
"""
TYPED = {
    "kleidi key ro": ["rotate"],
    "kleidi key disable v1 --us": ["--usage"],
    "kleidi status -o ": ["text", "json"],
    "kleidi status --output j": ["json"],
    "kleidi completion f": ["fish"],
    "kleidi manifests k": ["kubeadm", "kind", "k3s"],
    "kleidi slot add --kind p": ["passphrase"],
}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize("typed", TYPED)
def test_bash_and_zsh_complete(shell: str, typed: str) -> None:
    words = typed.split(" ")
    quoted = " ".join(shlex.quote(word) for word in words)
    script = {"bash": BASH, "zsh": ZSH}[shell].format(words=quoted, last=len(words) - 1)
    made = kleidi("completion", shell).stdout
    done = subprocess.run([shell, "-c", script], input=made, capture_output=True, text=True, check=False)
    assert sorted(done.stdout.split()) == sorted(TYPED[typed]), done.stderr


@pytest.mark.parametrize("typed", TYPED)
def test_fish_completes(typed: str, tmp_path: Path) -> None:
    script = tmp_path / "kleidi.fish"
    script.write_text(kleidi("completion", "fish").stdout)
    done = subprocess.run(
        ["fish", "-c", f"source {script}; complete -C {shlex.quote(typed)}"],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(found) == sorted(TYPED[typed]), done.stderr


def test_the_manual_has_every_verb_and_groff_has_no_complaint() -> None:
    made = kleidi("manual").stdout
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou"], input=made, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"   kleidi {node.path}\n" in done.stdout for node in VERBS)
