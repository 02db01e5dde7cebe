"""The command line as a value: every verb with its options, for whoever describes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """*names* are its spellings; *value* its placeholder, empty for a switch; *choices* all that it takes."""

    names: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """A verb, or a group with *verbs*. *path* are its words behind `kleidi`."""

    path: str
    panel: str
    help: str
    arguments: tuple[str, ...]
    choices: tuple[str, ...]
    options: tuple[Option, ...]
    verbs: tuple["Node", ...] = ()

    @property
    def name(self) -> str:
        return self.path.rpartition(" ")[2]

    def every(self) -> Iterator["Node"]:
        """Itself and all below it."""
        yield self
        for verb in self.verbs:
            yield from verb.every()


def grown(command: Any, path: str = "") -> Node:  # noqa: ANN401  typer does not export its commands' class
    """What *command* offers, hidden things left out."""
    below = getattr(command, "commands", {})
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    panel = getattr(command, "rich_help_panel", None)
    return Node(
        path,
        panel if isinstance(panel, str) else "",
        command.help or "",
        tuple(each.metavar or (each.name or "").upper() for each in arguments),
        tuple(choice for each in arguments for choice in _choices(each)),
        tuple(_option(each) for each in options),
        tuple(grown(verb, f"{path} {name}".strip()) for name, verb in below.items() if not verb.hidden),
    )


def _option(parameter: Any) -> Option:  # noqa: ANN401
    names = (*parameter.opts, *parameter.secondary_opts)
    switch = bool(parameter.is_flag)
    choices = _choices(parameter)
    value = "" if switch else parameter.metavar or "|".join(choices) or _kind(parameter)
    return Option(names, value, parameter.help or "", choices)


def _choices(parameter: Any) -> tuple[str, ...]:  # noqa: ANN401
    # What a parser of ours takes is known from its placeholder alone.
    shown = parameter.metavar or ""
    if shown.startswith("[") and "|" in shown and not any(letter.isupper() for letter in shown):
        return tuple(shown.strip("[]").split("|"))
    choices = parameter.type_descriptor.choices
    return tuple(str(getattr(each, "value", each)) for each in choices or ())


def _kind(parameter: Any) -> str:  # noqa: ANN401
    """`N` for a number, else the option's own name: `--pin-file FILE` says so itself."""
    return "N" if parameter.type_descriptor.annotation in (int, float) else "TEXT"
