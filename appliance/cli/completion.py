"""`kleidi completion SHELL`: a script that knows every word by itself.

Static, for a host where `kleidi` is a wrapper around the container: nothing has to be started per TAB.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from appliance.cli.tree import Node, grown


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_Shell = Annotated[Shell, typer.Argument(help="The shell that reads it.")]


def completion(ctx: typer.Context, shell: _Shell) -> None:
    """Completion of verbs and options for a shell: a script to be sourced."""
    root = grown(ctx.find_root().command)
    typer.echo({Shell.BASH: bash, Shell.ZSH: zsh, Shell.FISH: fish}[shell](root), nl=False)


def bash(root: Node) -> str:
    """What is no word of ours is a file's name."""
    return f"""\
# bash completion for kleidi
_kleidi() {{
  local words="" verb="" word current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local -a typed=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}")
{_chosen(root)}  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _kleidi kleidi
"""


def zsh(root: Node) -> str:
    """The same, in the words of zshcompwid(1), where `words` is what was typed."""
    chosen = _chosen(root).replace("words=", "found=").replace('"$words"', '"$found"')
    return f"""\
#compdef kleidi
_kleidi() {{
  local found="" verb="" word previous="${{words[CURRENT-1]}}"
  local -a typed=("${{(@)words[2,CURRENT-1]}}")
{chosen}  if [ -n "$found" ]; then compadd -- ${{=found}}; else _files; fi
}}
compdef _kleidi kleidi
"""


def _chosen(root: Node) -> str:
    """What both shells run: the verb that was typed so far, and the words that may follow it."""
    verbs = "|".join(f'"{node.path}"' for node in root.every() if node.path)
    after = "".join(f'    "{node.path}") words="{" ".join(_words(node))}" ;;\n' for node in root.every())
    values = "".join(
        f'    "{node.path} {name}") words="{" ".join(option.choices)}" ;;\n'
        for node in root.every()
        for option in node.options
        for name in option.names
        if option.choices
    )
    return f"""\
  for word in "${{typed[@]}}"; do
    case "${{verb:+$verb }}$word" in
    {verbs}) verb="${{verb:+$verb }}$word" ;;
    esac
  done
  case "$verb $previous" in
{values}  esac
  if [ -z "$words" ]; then
    case "$verb" in
{after}    esac
  fi
"""


def fish(root: Node) -> str:
    """One line for each word, with its help."""
    lines = ["# fish completion for kleidi", "complete -c kleidi -f"]
    for node in root.every():
        lines += [f"complete -c kleidi -n '{_typed(node)}' {word}" for word in _fish_words(node)]
    return "\n".join(lines) + "\n"


def _fish_words(node: Node) -> Iterator[str]:
    for verb in node.verbs:
        yield f"-a {verb.name} -d {_quoted(verb.help)}"
    for option in node.options:
        spelled = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        takes = f" -x -a '{' '.join(option.choices)}'" if option.choices else " -r -F" if option.value else ""
        yield f"{spelled}{takes} -d {_quoted(option.help)}"
    if node.choices:
        yield f"-a '{' '.join(node.choices)}'"
    elif node.arguments:
        yield "-F"


def _words(node: Node) -> list[str]:
    names = [name for option in node.options for name in option.names]
    return [*(verb.name for verb in node.verbs), *node.choices, *names]


def _typed(node: Node) -> str:
    """The condition under which the words of *node*, and no further verb, stand on the line."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in node.path.split()]
    below = " ".join(verb.name for verb in node.verbs)
    return "; and ".join([*seen, *([f"not __fish_seen_subcommand_from {below}"] if below else [])]) or "true"


def _quoted(text: str) -> str:
    """The first paragraph, in fish's quotes."""
    sentence = " ".join(text.partition("\n\n")[0].split())
    return "'" + sentence.replace("\\", "\\\\").replace("'", "\\'") + "'"
