"""Bad calls by the thousand leave the log readable: ten lines a minute of a kind, and the number left out."""

import logging
from collections.abc import Callable

import pytest

from appliance import faults
from appliance.telemetry.sparing import MOST, Sparing
from tests.service.client import Client, refused
from tests.service.journal import Journal
from tests.service.running import Running

FLOOD = 2000
SEED = b"thirty-two bytes of a seed, here"


@pytest.mark.parametrize("bug", [ZeroDivisionError(), None], ids=["a mistake of ours", "the caller's"])
def test_no_flood_of_any_kind_floods_the_log(
    running: Running, client: Client, journal: Journal, bug: Exception | None
) -> None:
    running.scene.engine.break_with(bug)
    for _ in range(3 * MOST):
        refused(lambda: client.encrypt(SEED if bug else b"", "bad"))
    running.scene.engine.break_with(None)
    assert len(journal.lines(uid="bad")) == MOST


def test_a_minute_ends_with_the_number_left_out_and_another_begins(journal: Journal) -> None:
    ends: list[Callable[[], None]] = []
    sparing = Sparing(lambda _seconds, end: ends.append(end))
    for _ in range(2):
        lines = [sparing.lets(logging.WARNING, "Decrypt", faults.KEY_UNKNOWN.id) for _ in range(FLOOD)]
        assert lines == [True] * MOST + [False] * (FLOOD - MOST)
        ends.pop()()
        assert not ends
    first, second = journal.lines(msg="Decrypt", id=faults.KEY_UNKNOWN.id, level="warning")
    assert first["repeated"] == second["repeated"] == FLOOD - MOST


def test_a_minute_with_few_lines_ends_without_a_word(journal: Journal) -> None:
    ends: list[Callable[[], None]] = []
    sparing = Sparing(lambda _seconds, end: ends.append(end))
    assert all(sparing.lets(logging.WARNING, "Decrypt", faults.KEY_UNKNOWN.id) for _ in range(MOST))
    ends.pop()()
    assert journal.lines() == []
