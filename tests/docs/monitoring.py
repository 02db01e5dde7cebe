"""The parts of docs/monitoring.md that the alerts and the dashboard write."""

from collections.abc import Iterator

from appliance.manifests.monitoring import dashboard, keys, rules
from appliance.manifests.monitoring.alert import MEANING, Alert


def written(page: str) -> str:
    """*page* with these parts as the code has them now."""
    for name, text in (
        ("join", _join()),
        ("panels", _panels()),
        ("recorded", _recorded()),
        ("alerts", _alerts()),
    ):
        before, rest = page.split(f"<!-- {name} -->\n")
        after = rest.split(f"<!-- /{name} -->")[1]
        page = f"{before}<!-- {name} -->\n{text}<!-- /{name} -->{after}"
    return page


def _join() -> str:
    return f"```promql\n{keys.JOIN}\n```\n"


def _panels() -> str:
    lines = ["| panel | what it tells |", "|---|---|"]
    for row in dashboard.ROWS:
        lines.append(f"| **{row.title}** | |")
        for panel in row.panels:
            empty = f" Without lines: {panel.empty}." if panel.empty else ""
            lines.append(f"| {panel.title} | {panel.tells}{empty} |")
    return "\n".join(lines) + "\n"


def _recorded() -> str:
    return "".join(f"- `{each.name}`: {each.tells}\n" for each in rules.RECORDINGS)


def _alerts() -> str:
    lines = ["| severity | what for |", "|---|---|"]
    lines += [f"| {severity} | {words} |" for severity, words in MEANING.items()]
    return "\n".join([*lines, *(line for each in rules.ALERTS for line in _alert(each))]) + "\n"


def _alert(alert: Alert) -> Iterator[str]:
    held = f", once it has held for {alert.hold}" if alert.hold else ""
    yield f"\n### {alert.name}\n"
    yield f"{alert.tells} {alert.act}\n"
    yield f"Severity {alert.severity}{held}:\n"
    yield f"```promql\n{alert.expression}\n```"
    if alert.by_id:
        yield "\nThe rest is in the section of its `id` in [errors.md](errors.md)."
    elif alert.fault is not None:
        yield f"\nThe rest: [{alert.fault.id}](errors.md#{alert.fault.id.lower()})."
