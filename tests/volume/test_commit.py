"""A change ends where it began, or it does not hold; and what is done is told as done."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.telemetry import NOBODY, Committed, Event, Observer
from appliance.volume.audit import AuditLog
from appliance.volume.commit import Change, Committer, Done
from appliance.volume.generations import Volume
from appliance.volume.payload import Payload
from appliance.volume.seal import Header
from tests.fakes import FakeEngine
from tests.volume.house import UNTOLD, House, let_no_end_be_logged, refused

CHANGE = Change("test", "0:1", {"reason": "none"})
LAST = 99_999_999


@pytest.fixture
def ready(house: House) -> House:
    house.provisioner().run()
    return house


def commit(
    house: House,
    before: Callable[[Header, Payload], None] | None = None,
    observer: Observer = NOBODY,
) -> Done:
    storage = house.storage()
    committer = Committer(storage, FakeEngine().alone, house.memory, (before,) if before else (), observer)
    with storage.volume.lock():
        opened = storage.open()
        return committer.commit(opened, opened.payload, CHANGE)


def moved_away(house: House) -> None:
    house.volume.rename(house.root / "away")
    house.volume.mkdir(mode=0o700)


def copied_over(house: House) -> None:
    """The same files in another directory: nobody holds that one's lock."""
    house.volume.rename(house.root / "away")
    subprocess.run(["cp", "-a", house.root / "away", house.volume], check=True)


def emptied(house: House) -> None:
    for path in house.volume.iterdir():
        path.unlink()


def gone_ahead(house: House) -> None:
    """Somebody wrote another generation beside the lock's holder."""
    sealed = house.generation.read_bytes()
    (house.volume / "generation-00000002.seal").write_bytes(sealed)


def exchanged(house: House) -> None:
    sealed = house.generation.read_bytes()
    house.generation.unlink()
    house.generation.write_bytes(sealed[:-1])


def unlocked(house: House) -> None:
    (house.volume / "lock").unlink()


@pytest.mark.parametrize(
    "mishap",
    [moved_away, copied_over, emptied, gone_ahead, exchanged, unlocked],
    ids=lambda each: each.__name__,
)
def test_what_is_no_longer_where_it_began_is_not_committed_to(
    ready: House, mishap: Callable[[House], None]
) -> None:
    assert refused(lambda: commit(ready, lambda *_: mishap(ready))) is faults.VOLUME_CHANGED
    written = [path for path in ready.root.rglob("generation-*") if path.stat().st_size > 0]
    assert not [
        path for path in written if path.name != "generation-00000001.seal" and mishap is not gone_ahead
    ]


def test_a_directory_exchanged_at_the_last_moment_gets_nothing(
    ready: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look and the rename: it ends in the directory that is locked, and is not announced."""
    rename = os.rename

    def late(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        monkeypatch.undo()
        moved_away(ready)
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def hook(*_: object) -> None:
        monkeypatch.setattr(os, "rename", late)

    assert refused(lambda: commit(ready, hook)) is faults.VOLUME_CHANGED
    assert list(ready.volume.iterdir()) == []
    known = ready.storage().anchor.read()
    assert known is not None
    assert known.generation == 1


@pytest.fixture
def mounted(house: House) -> Iterator[House]:
    """The volume is a mount of its own, as it is in the pod."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "kleidi-test", house.volume], check=True)
    try:
        house.provisioner().run()
        yield house
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", "--lazy", house.volume], check=True)


def test_a_volume_that_is_unmounted_meanwhile_is_not_written_below_its_mount_point(mounted: House) -> None:
    def unmount(*_: object) -> None:
        subprocess.run(["umount", "--lazy", mounted.volume], check=True)

    assert refused(lambda: commit(mounted, unmount)) is faults.VOLUME_CHANGED
    assert list(mounted.volume.iterdir()) == []


def test_another_mount_above_it_is_not_written_to(mounted: House) -> None:
    def cover(*_: object) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "kleidi-test", mounted.volume], check=True)

    try:
        assert refused(lambda: commit(mounted, cover)) is faults.VOLUME_CHANGED
        assert list(mounted.volume.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", mounted.volume], check=True)


def test_what_is_done_is_told_as_done_when_the_log_cannot_say_so(
    ready: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_no_end_be_logged(monkeypatch)
    done = commit(ready)
    assert done.opened.header.generation == ready.storage().open().header.generation == 2
    assert done.said == (UNTOLD,)


def test_who_counts_is_told_of_what_was_committed_and_of_nothing_else(ready: House) -> None:
    heard: list[Event] = []

    class Heard:
        def observe(self, event: Event) -> None:
            heard.append(event)

    def refuse(_header: Header, _payload: Payload) -> None:
        raise faults.KleidiError(faults.BACKUP_FAILED)

    assert refused(lambda: commit(ready, refuse, Heard())) is faults.BACKUP_FAILED
    assert heard == []
    done = commit(ready, observer=Heard())
    (event,) = heard
    assert isinstance(event, Committed)
    assert (event.op, event.by, event.generation) == ("test", "0:1", done.opened.header.generation)


def test_the_seal_knows_the_line_that_began_it(ready: House) -> None:
    done = commit(ready)
    begun = AuditLog(ready.volume / "audit.jsonl").tail(2)[0]
    assert done.opened.payload.audit is not None
    assert (done.opened.payload.audit.seq, done.opened.payload.audit.hash) == (begun["seq"], begun["hash"])
    assert begun["by"] == "0:1"


@pytest.mark.parametrize(
    "harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")], ids=["removed", "emptied"]
)
def test_a_log_that_is_cut_off_is_noticed_at_the_next_opening(
    ready: House, harm: Callable[[Path], None]
) -> None:
    commit(ready)
    assert ready.storage().open().warnings == ()
    harm(ready.volume / "audit.jsonl")
    assert ready.storage().open().warnings == (faults.AUDIT_CUT,)
    commit(ready)
    assert AuditLog(ready.volume / "audit.jsonl").tail(2)[0]["log_lost"].startswith("expected entry 3,")


def test_leftovers_of_killed_commits_go_with_the_next_one(ready: House) -> None:
    left = ready.volume / ".tmp-generation-00000002.seal-0a0b0c0d"
    left.touch()
    commit(ready)
    assert not left.exists()


def test_no_generation_gets_a_number_that_no_name_can_hold(house: House) -> None:
    """The next start would take it for a stranger's file, and lock everybody out."""
    volume = Volume(house.volume)
    with volume.lock():
        volume.commit(LAST, b"sealed")
        assert refused(lambda: volume.commit(LAST + 1, b"sealed")) is faults.VOLUME_SPENT
    assert volume.survey().newest == LAST


def test_an_anchor_that_high_spends_the_volume_and_harms_nothing(ready: House) -> None:
    known = ready.storage().anchor.read()
    assert known is not None
    ready.anchor.write_text(ready.anchor.read_text().replace('"generation": 1', f'"generation": {LAST}'))
    assert refused(lambda: commit(ready)) is faults.VOLUME_OLD


def test_without_the_lock_nothing_is_committed(house: House) -> None:
    with pytest.raises(AssertionError, match="lock"):
        Volume(house.volume).commit(1, b"sealed")
