"""docs/errors.md: alerts, pages and people link to its headings, so none of them ever goes."""

import re

import pytest

from appliance.runbook import Entry, entries
from tests.docs import errors
from tests.docs.pages import anchors, dead_links

IDS = errors.IDS.read_text().split()
TEXT = errors.PAGE.read_text()
SECTIONS = dict(re.findall(r"^## (E-\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_an_anchor_stays() -> None:
    assert [each for each in IDS if each.lower() not in anchors(errors.PAGE)] == []


def test_every_id_is_written_down_to_stay() -> None:
    assert [each.fault.id for each in entries() if each.fault.id not in IDS] == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.fault.id)
def test_a_section_has_all_four(entry: Entry) -> None:
    section = SECTIONS[entry.fault.id]
    assert re.findall(r"^- \*\*(\w+):\*\* \S", section, re.MULTILINE) == ["Felt", "Look", "Do", "Wake"]
    assert all(f"`{command}`" in section for command in entry.look)
    assert all(step in section or step[0].upper() + step[1:] in section for step in entry.do)


def test_its_links_lead_somewhere() -> None:
    assert dead_links(errors.PAGE) == []
