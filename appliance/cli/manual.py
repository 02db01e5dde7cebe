"""`kleidi manual`: the man page, from the same verbs that `--help` shows."""

import re

import typer

from appliance import __version__
from appliance.cli.examples import EXAMPLES
from appliance.cli.tree import Node, Option, grown
from appliance.faults import Exit


def manual(ctx: typer.Context) -> None:
    """The man page kleidi(1), to read or to install."""
    typer.echo(page(grown(ctx.find_root().command)), nl=False)


def page(root: Node) -> str:
    """In the man macros, groff_man(7)."""
    lines = [
        f'.TH KLEIDI 1 "" "kleidi {__version__}" "User Commands"',
        ".SH NAME",
        r"kleidi \- an embedded-HSM appliance that speaks Kubernetes KMS v2",
        ".SH SYNOPSIS",
        r".B kleidi",
        r"\fICOMMAND\fR [\fIOPTIONS\fR]",
    ]
    panels = dict.fromkeys(node.panel for node in root.verbs)
    for panel in panels:
        lines.append(f'.SH "{panel.upper()}"')
        for node in root.verbs:
            if node.panel == panel:
                for verb in node.every():
                    lines += [] if verb.verbs else _verb(verb)
    lines += [".SH EXIT STATUS"]
    for code in Exit:
        lines += [".TP", str(code.value), code.name.lower().replace("_", " ")]
    return "\n".join(lines) + "\n"


def _verb(node: Node) -> list[str]:
    arguments = "".join(rf" \fI{_plain(name)}\fR" for name in node.arguments)
    lines = [rf'.SS "kleidi {_plain(node.path)}"', rf"\fBkleidi {_plain(node.path)}\fR{arguments}"]
    for paragraph in node.help.split("\n\n"):
        lines += [".PP", _plain(" ".join(paragraph.split()))]
    for option in node.options:
        lines += [".TP", _option(option), _plain(option.help) or "."]
    examples = EXAMPLES.get(node.path, ())
    if examples:
        lines += [".PP", "Examples:", ".PP", ".nf", *(f"    {_plain(line)}" for line in examples), ".fi"]
    return lines


def _option(option: Option) -> str:
    spelled = ", ".join(rf"\fB{_plain(name)}\fR" for name in option.names)
    return spelled + (rf" \fI{_plain(option.value)}\fR" if option.value else "")


def _plain(text: str) -> str:
    """Nothing in it is a request or an escape; hyphens stay such that they can be copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("·", ",")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)
