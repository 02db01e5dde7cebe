"""Pure: the page from its sections. One that a run has not measured stays as it was, with its own date."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HEAD = """\
# Performance

What the appliance costs, measured and never asserted: figures say nothing without the machine and the day
that stand above them. `make bench WRITE=1` writes this page; a section that a run has not measured stays
as it was.

A **ratio** is the median of the rounds' own ratios to the Go reference: both are measured in turns, so
that what else the machine does hits both. The reference (`tests/bench/reference`) is a KMS v2 plugin on
`k8s.io/kms` and `crypto11`, with a token in the same SoftHSM; it does what a call needs, and nothing else
of what ours does. **CPU** is what all threads of the server ran, a call; **sup.** the same of
supervisord. All callers are grpc-go, as the API server's client is, with its deadline of three seconds a
call, and each waits for its answer.

What the aims miss, and why: [where a call goes](performance-calls.md) and
[where a start goes](performance-start.md).
"""
_SECTION = re.compile(r"<!-- (?P<name>[a-z]+) -->\n(?P<text>(?s:.*?))<!-- /(?P=name) -->\n")


@dataclass(frozen=True)
class Picture:
    """A file beside the page, and what it shows."""

    path: str
    words: str


def section(title: str, circumstances: str, rows: Sequence[str], pictures: Iterable[Picture]) -> str:
    shown = "".join(f"![{picture.words}]({picture.path})\n\n" for picture in pictures)
    table = "\n".join(row.rstrip() for row in rows)
    return f"## {title}\n\n{circumstances}\n\n{shown}```text\n{table}\n```\n"


def page(before: str, fresh: Mapping[str, str], order: Iterable[str]) -> str:
    known = {**{each["name"]: each["text"] for each in _SECTION.finditer(before)}, **fresh}
    marked = [f"<!-- {name} -->\n{known[name]}<!-- /{name} -->\n" for name in order if name in known]
    return "\n".join([HEAD, *marked])
