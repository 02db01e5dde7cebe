"""docs/screens.md: what commands print, made by the code that prints it from answers that are made here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance import faults
from appliance.cli.audit import Tail
from appliance.cli.explain import explained
from appliance.cli.slots import SlotList
from appliance.client.keys import KeyCheck, KeyList
from appliance.client.report import BackupRow, EngineRow, KeyRow, Reason, RefusedRow, Report
from appliance.faults import Fault, KleidiError
from appliance.ops.check import Condition, Question, Verdict
from appliance.slots.listing import Row as SlotRow
from appliance.usage.report import Count, KnownKey
from appliance.usage.stored import Kind
from appliance.usage.tally import Row, Tally
from tests.docs.pages import DOCS

PAGE = DOCS / "screens.md"
WIDTHS = (80, 120)
NOW = 1_795_000_000
DAY = 86_400
_HEAD = """\
# Screens

What the commands print at a terminal of 80 and of 120 columns. Where nobody looks, in a pipe or a file, each
thing is one line, however long; programs read `--output json` ([json.md](json.md)). Written by `make docs`
from the code that prints.
"""
_LINEAGE = "89d52294c1a7"
_IDS = [f"kleidi/{_LINEAGE}/v{n}/{end}" for n, end in enumerate(("df93d578098c", "702505c8cb45"), 1)]
KEYS = [
    KeyRow("v1", _IDS[0], "retired", NOW - DAY, wrapped=1_204, unwrapped=18_977),
    KeyRow("v2", _IDS[1], "primary", NOW - DAY, wrapped=3, unwrapped=2),
]


@dataclass(frozen=True)
class Shown:
    """What *command* prints in this *situation*, as wide as it is told to be."""

    command: str
    situation: str
    print: Callable[[int], str]


def _reason(fault: Fault, detail: str = "") -> Reason:
    return Reason.of(KleidiError(fault, detail))


def report(state: str, *reasons: Reason, serves: bool = True) -> Report:
    first = reasons[0] if reasons else Reason("", "")
    return Report(
        state,
        first.id,
        first.reason,
        "/run/kleidi/kms.sock",
        key_id=_IDS[1] if serves else "",
        lineage=_LINEAGE,
        keyset="1adb-dea6" if serves else "",
        generation=4,
        protection="other-disk" if serves else "",
        keys=KEYS if serves else [],
        backup=BackupRow(3, NOW - 2 * DAY, "kleidi.age", ["v2"]) if serves else None,
        reasons=list(reasons),
        engines=[EngineRow("softhsm", remote=False, keys=2, used_from="copy")] if serves else [],
    )


OPERATIONAL = report("OPERATIONAL")
_taken = _reason(faults.SOCKET_TAKEN, "/run/kleidi/kms.sock")
_gone = _reason(faults.SEAL_KEY_GONE, KleidiError(faults.SEAL_KEY_MISSING, "/etc/kleidi/seal.key").brief)
_refused = RefusedRow("foreign", 2_000, NOW - DAY, NOW - 180, ["kleidi/ba9876543210/v1/0a1b2c3d4e5f"])
REPORTS = {
    "all is well": OPERATIONAL,
    "two reasons to look": report("DEGRADED", _taken, _gone),
    "sealed": report("SEALED", _reason(faults.SEAL_KEY_MISSING, "/etc/kleidi/seal.key"), serves=False),
    "nobody serves": report("STOPPED", _reason(faults.SERVER_UNREACHABLE), serves=False),
    "another user asks": Report(
        "UNKNOWN",
        reasons=[_reason(faults.SERVER_DENIED, "you are uid 1000, and /var/lib/kleidi is not yours")],
    ),
}
REPORTS["two reasons to look"].refused.append(_refused)
KEY_LIST = KeyList(KEYS)
_CHECK = KeyCheck(
    _IDS[0],
    [
        Condition(Question.NOT_PRIMARY, Verdict.PASS, "v2 is"),
        Condition(Question.NEW_KEY_IN_USE, Verdict.PASS, "v2 encrypted 3 times"),
        Condition(Question.NOT_ASKED_FOR, Verdict.UNKNOWN, "3.2 h of serving without a Decrypt, 25 wanted"),
        Condition(Question.NOTHING_STORED, Verdict.FAIL, "9,800 objects are under it"),
        Condition(Question.BACKED_UP, Verdict.PASS, "generation 3"),
    ],
    may_disable=False,
    disable_why="9,800 objects are under it",
    may_destroy=False,
    destroy_why="disable it first, then 168 h",
)
SLOTS = SlotList(
    [
        SlotRow("file", "file", {}, configured=True),
        SlotRow("safe", "recovery", {}, tested=NOW - 3 * DAY),
        SlotRow("night", "passphrase", {}),
    ]
)
_BY = {"by": "0:20843", "keyset": "1adb-dea6"}
TAIL = Tail(
    [
        {"seq": 7, "time": "2026-11-18T10:26:40Z", "op": "stage", "phase": "begin", "generation": 3, **_BY},
        {
            "seq": 8,
            "time": "2026-11-18T10:26:41Z",
            "op": "stage",
            "phase": "done",
            "generation": 3,
            "key_id": _IDS[1],
            "reason": "once a year",
            **_BY,
        },
    ]
)


def _count() -> Count:
    tally = Tally()
    rows = [
        (Row("secrets", Kind.KMS_V2, "kleidi", _IDS[0]), 9_800),
        (Row("secrets", Kind.KMS_V2, "kleidi", _IDS[1]), 19_600),
        (Row("configmaps", Kind.IDENTITY, "", ""), 600),
        (Row("namespaces", Kind.IDENTITY, "", ""), 12),
    ]
    tally.counts.update(dict(rows))
    tally.revision, tally.complete = 81_204, True
    return Count.of(tally, known={key.key_id: KnownKey(key.name, key.state, key.engine) for key in KEYS})


SCREENS = [
    *(Shown("kleidi status", name, partial(told.to_text, now=NOW)) for name, told in REPORTS.items()),
    Shown("kleidi key list", "", KEY_LIST.to_text),
    Shown("kleidi key check v1", "", _CHECK.to_text),
    Shown("kleidi usage", "", _count().to_text),
    Shown("kleidi slot list", "", SLOTS.to_text),
    Shown("kleidi audit tail", "", TAIL.to_text),
    Shown("kleidi explain E-SEAL-KEY-MISSING", "", explained("E-SEAL-KEY-MISSING").to_text),
]


def page() -> str:
    text = _HEAD
    for each in SCREENS:
        text += f"\n## {each.command}{f', {each.situation}' if each.situation else ''}\n"
        shown = {columns: each.print(columns) for columns in WIDTHS}
        if len(set(shown.values())) == 1:
            text += f"\n```text\n{shown[WIDTHS[0]]}\n```\n"
            continue
        for columns, lines in shown.items():
            text += f"\n{columns} columns:\n\n```text\n{lines}\n```\n"
    return text


def write(path: Path = PAGE) -> None:
    path.write_text(page())
