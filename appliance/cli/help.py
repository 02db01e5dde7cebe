"""What `--help` shows: verbs in groups, whole sentences, two examples of each verb."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from appliance.cli.examples import EXAMPLES
from appliance.faults import Exit

# The order in which they are shown.
PANELS = LOOK, KEYS, NODES, SET_UP, INSIDE = "Look", "Keys", "Nodes", "Set up", "Inside the container"
# Longer lines are hard to read, however wide the terminal is. Both go down to every verb.
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


Function = TypeVar("Function", bound=Callable[..., Any])


class Verb(TyperCommand):
    """A command that shows its examples behind its options."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  typer does not export its classes
        super().format_help(ctx, formatter)
        examples = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        if examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in examples))


class Group(TyperGroup):
    """Commands in sections, one for each panel."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is None or command.hidden:
                continue
            panel = getattr(command, "rich_help_panel", None)
            title = panel if isinstance(panel, str) else "Commands"
            # The first paragraph whole: a sentence that is cut tells nothing.
            words = " ".join((command.help or "").partition("\n\n")[0].split())
            sections.setdefault(title, []).append((name, words))
        for title in sorted(sections, key=_rank):
            with formatter.section(title):
                formatter.write_dl(sections[title])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        if not args and not ctx.resilient_parsing:
            typer.echo(self.get_help(ctx), err=True)
            raise typer.Exit(Exit.USAGE)
        return super().parse_args(ctx, args)


def _rank(title: str) -> int:
    return PANELS.index(title) if title in PANELS else len(PANELS)


class Verbs(typer.Typer):
    """A group of verbs to which functions are added with `command`."""

    def __init__(self, words: str) -> None:
        super().__init__(
            cls=Group,
            rich_markup_mode=None,
            context_settings=SETTINGS,
            help=words,
            add_completion=False,
            pretty_exceptions_enable=False,
        )

    def command(  # type: ignore[override]  # of its arguments those that are used here
        self, name: str | None = None, *, panel: str | None = None
    ) -> Callable[[Function], Function]:
        return super().command(name, cls=Verb, rich_help_panel=panel)
