"""Where bundles lie and how they get there by themselves."""

import errno
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.assembly import automatic_backup
from appliance.backup import directory
from appliance.backup.bundle import open_bundle
from appliance.backup.directory import Automatic
from appliance.backup.restore import Restorer
from appliance.faults import KleidiError
from appliance.settings import Settings, load
from appliance.volume.seal import Header
from tests.fakes import FakeEngine
from tests.volume.house import LINEAGE, OTHER_LINEAGE, PAYLOAD, House, refused

NOW = datetime(2026, 11, 23, 15, 30, 5, tzinfo=UTC)
HEADER = Header(LINEAGE, 7)
NAME = f"kleidi-{LINEAGE}-g7-20261123T153005Z.age"


@pytest.fixture
def automatic(tmp_path: Path, identity: Identities) -> Automatic:
    return Automatic(identity.recipients, tmp_path, lambda: NOW)


def test_its_name_tells_lineage_generation_and_time(automatic: Automatic, identity: Identities) -> None:
    automatic(HEADER, PAYLOAD)
    (path,) = automatic.directory.iterdir()
    assert path.name == NAME
    assert open_bundle(path.read_bytes(), identity) == (HEADER, PAYLOAD)


def test_two_of_one_second_both_stay(automatic: Automatic) -> None:
    automatic(HEADER, PAYLOAD)
    automatic(HEADER, PAYLOAD)
    assert len(list(automatic.directory.iterdir())) == 2
    assert directory.newest(automatic.directory, LINEAGE).name.startswith(NAME.removesuffix(".age"))


def test_without_its_directory_it_fails(automatic: Automatic) -> None:
    automatic.directory.rmdir()
    assert refused(lambda: automatic(HEADER, PAYLOAD)) is faults.BACKUP_FAILED


def test_a_filesystem_without_hard_links_will_do(
    automatic: Automatic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "not on FAT")

    monkeypatch.setattr(os, "link", refuse)
    path = directory.put(automatic.directory / NAME, b"one")
    assert refused(lambda: directory.put(path, b"two")) is faults.BACKUP_EXISTS
    assert path.read_bytes() == b"one"
    assert list(automatic.directory.iterdir()) == [path]


def test_what_a_killed_writer_left_goes_when_nobody_can_be_at_it(automatic: Automatic) -> None:
    old, young = (automatic.directory / f".tmp-kleidi-{name}" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    automatic(HEADER, PAYLOAD)
    assert not old.exists()
    assert young.exists()


def test_the_newest_is_the_one_made_last_of_this_lineage(tmp_path: Path) -> None:
    names = [
        f"kleidi-{LINEAGE}-g9-20261122T000000Z.age",
        f"kleidi-{LINEAGE}-g10-20261123T000000Z.age",
        f"kleidi-{OTHER_LINEAGE}-g1-20271123T000000Z.age",
        f"kleidi-{LINEAGE}-g11-20261123T000000Z.age.part",
        ".tmp-kleidi",
        "notes.txt",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert directory.newest(tmp_path, LINEAGE).name == names[1]
    assert directory.newest(tmp_path, None).name == names[2]
    assert refused(lambda: directory.newest(tmp_path, "a" * 12)) is faults.BACKUP_NONE
    assert refused(lambda: directory.newest(tmp_path / "none", None)) is faults.BACKUP_UNREADABLE


def test_a_first_key_that_cannot_be_backed_up_is_not_made(house: House, automatic: Automatic) -> None:
    automatic.directory.joinpath("kleidi").mkdir(exist_ok=True)
    lost = Automatic(automatic.recipients, automatic.directory / "gone", lambda: NOW)
    provisioner = house.provisioner(FakeEngine(), before=(lost,))
    assert refused(provisioner.run) is faults.BACKUP_FAILED
    assert not list(house.volume.glob("*.seal"))


def test_what_is_brought_back_is_backed_up_first_like_any_other(
    house: House, automatic: Automatic, identity: Identities
) -> None:
    lost = Automatic(automatic.recipients, automatic.directory / "gone", lambda: NOW)
    automatic = replace(automatic, directory=automatic.directory / "bundles")
    automatic.directory.mkdir()
    for before, fault in ((lost, faults.BACKUP_FAILED), (automatic, None)):
        committer = house.committer(before=(before,))
        restorer = Restorer(committer, allow_unmounted=True, by="0:1")
        if fault:
            again = partial(restorer.run, HEADER, PAYLOAD, source="a file", dry_run=False)
            assert refused(again) is fault
            assert not list(house.volume.glob("*.seal"))
        else:
            restorer.run(HEADER, PAYLOAD, source="a file", dry_run=False)
    (path,) = automatic.directory.iterdir()
    header, payload = open_bundle(path.read_bytes(), identity)
    assert (header, payload.keyset) == (HEADER, PAYLOAD.keyset)


# ---- settings


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name in [name for name in os.environ if name.startswith("KLEIDI_")]:
        monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(f"KLEIDI_{name.upper()}", value)
    return load()


def test_recipients_are_separated_by_commas_or_blanks(
    monkeypatch: pytest.MonkeyPatch, identity: Identities, stranger: Identities
) -> None:
    both = (*identity.recipients.names, *stranger.recipients.names)
    for text in (",".join(both), " ".join(both), f" {both[0]} ,\n{both[1]}, "):
        read = settings(monkeypatch, backup_recipients=text, backup_dir="/backup")
        (hook,) = automatic_backup(read)
        assert hook.recipients.names == both
        assert hook.directory == Path("/backup")


def test_without_recipients_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert automatic_backup(settings(monkeypatch)) == ()
    assert automatic_backup(settings(monkeypatch, backup_recipients=" ", backup_dir="/backup")) == ()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"backup_recipients": "age1nobody", "backup_dir": "/backup"}, "KLEIDI_BACKUP_RECIPIENTS"),
        ({"backup_recipients": "RECIPIENT"}, "KLEIDI_BACKUP_DIR"),
        ({"backup_dir": "/var/lib/kleidi/backup"}, "KLEIDI_BACKUP_DIR"),
        ({"backup_dir": "backup"}, "KLEIDI_BACKUP_DIR"),
        ({"require_backup": "perhaps"}, "KLEIDI_REQUIRE_BACKUP"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, identity: Identities, values: dict[str, str], named: str
) -> None:
    known = {name: value.replace("RECIPIENT", identity.recipients.names[0]) for name, value in values.items()}
    with pytest.raises(KleidiError) as caught:
        settings(monkeypatch, **known)
    assert caught.value.fault is faults.CONFIG
    assert named in caught.value.detail


def test_a_secret_key_given_by_mistake_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, identity: Identities
) -> None:
    with pytest.raises(KleidiError) as caught:
        settings(monkeypatch, backup_recipients=identity.secrets[0], backup_dir="/backup")
    assert identity.secrets[0] not in str(caught.value)
