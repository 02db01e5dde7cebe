"""A ground for each case, and people at terminals who last for the whole module."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.states.cases import Case
from tests.states.ground import Ground
from tests.states.typist import Typist

NOBODY = 65534


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("server", "volume_watch"):
        monkeypatch.setattr(f"appliance.service.{room}._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("appliance.volume.custody.Custody.look_seconds", 0.05)


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal()
    with journal.kept("json"):
        yield journal


@pytest.fixture
def ground(journal: Journal) -> Iterator[Ground]:
    # In memory, where tokens must be; pytest's own directories are too long for a socket's path.
    ground = Ground(Path(tempfile.mkdtemp(prefix="kleidi-test-", dir="/dev/shm")))
    ground.seal()
    yield ground
    shutil.rmtree(ground.root, ignore_errors=True)
    assert not [secret for secret in ground.secrets if secret in journal.text]


@pytest.fixture
def running(ground: Ground, case: Case) -> Iterator[Running]:
    """A server that stands as the case says."""
    if case.first:
        case.first(ground)
    running = Running(ground)
    if case.then:
        running.wait_for("OPERATIONAL")
        case.then(ground)
    try:
        until(lambda: stands(running) == (case.state, case.ids), f"{case.state} {case.ids}")
        yield running
    finally:
        running.stop()
        while ground.strangers:
            ground.strangers.pop().close()


def stands(running: Running) -> tuple[str, list[str]]:
    report = running.report()
    return report.state, [reason.id for reason in report.reasons]


@pytest.fixture(scope="module")
def operator() -> Iterator[Typist]:
    """Whoever runs the appliance."""
    with Typist.hired(os.geteuid()) as typist:
        yield typist


@pytest.fixture(scope="module")
def nobody() -> Iterator[Typist]:
    """Another user of the node."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with contextlib.ExitStack() as exits:
        yield exits.enter_context(Typist.hired(NOBODY))
