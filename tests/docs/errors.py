"""docs/errors.md: the catalogue of faults with the runbook, from where `kleidi explain` has it too."""

from pathlib import Path

from appliance.cli.explain import ExplainedRow
from appliance.faults import Exit
from appliance.runbook import EFFECTS, Effect, Entry, entries
from tests.docs.pages import DOCS

PAGE = DOCS / "errors.md"
# Every id that ever was, one that is gone as well: links to its heading are for ever.
IDS = Path(__file__).parent / "error_ids.txt"
_HEAD = """\
# Errors, and what to do about each

Every way to fail has an id that never changes. The same words stand in the log, in `kleidi status`, in the
command line's one line and in Status; what can fail a call also in the API server's `/readyz/kms-providers`
(its `/readyz?verbose` withholds the words). `kleidi explain E-SEAL-KEY-GONE` prints what stands here on a
node, also where nothing runs. Written from appliance/faults/ and appliance/runbook/ by `make docs`.

**Felt** is what the API server and the cluster feel, **Look** are commands that show more, **Do** is the
remedy with the steps behind it, **Wake** says whether a person is needed. Words in capitals stand for yours.

## Exit codes

| code | meaning |
|---|---|
"""
_FELT = """
## What is felt

"""


def page() -> str:
    rows = [f"| {code.value} | {code.name.lower().replace('_', ' ')} |" for code in Exit]
    text = _HEAD + "\n".join(rows) + "\n" + _FELT
    text += "\n\n".join(f"### {_title(each)}\n\n{_sentence(each.whole)}" for each in EFFECTS) + "\n"
    return text + "".join(map(_section, entries()))


def write() -> None:
    PAGE.write_text(page())
    known = IDS.read_text().split()
    IDS.write_text("".join(f"{each}\n" for each in dict.fromkeys([*known, *(e.fault.id for e in entries())])))


def _section(entry: Entry) -> str:
    fault = entry.fault
    first, *more = map(_sentence, entry.do)
    steps = "".join(f"  {number}. {step}\n" for number, step in enumerate(more, 1))
    return (
        f"\n## {fault.id}\n\n{_sentence(fault.sentence)}\n\n"
        f"- **Felt:** {_felt(entry)}\n"
        f"- **Look:** {', '.join(f'`{command}`' for command in entry.look)}\n"
        f"- **Do:** {first}\n{steps}"
        f"- **Wake:** {ExplainedRow.of(entry).woken}.\n\n"
        f"Exit code {fault.exit.value}. {_sentence(fault.kind.value)}\n"
    )


def _felt(entry: Entry) -> str:
    """What is said of many stands once, under its title."""
    if entry.effect is None:
        return f"{entry.felt}."
    return f"[{entry.effect.brief}](#{_title(entry.effect).lower().replace(' ', '-')})."


def _title(effect: Effect) -> str:
    return effect.brief[0].upper() + effect.brief[1:]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
