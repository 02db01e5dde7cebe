"""What stands where a file of ours should be neither holds us up nor fills our memory."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.backup import directory as backups
from appliance.backup.verified import Record
from appliance.faults import KleidiError
from appliance.keys.keyset import KeySet
from appliance.provision import note
from appliance.volume import memory
from appliance.volume.custody import Custody
from appliance.volume.ledger import Ledger
from appliance.volume.slot import Presence
from softhsm import SoftHsmError, directory
from tests.volume.house import KLEIDI, LINEAGE, PAYLOAD, House, refused

Make = Callable[[Path], None]


@pytest.fixture(params=["fifo", "endless", "link to endless", "directory"])
def odd(request: pytest.FixtureRequest) -> Make:
    """Puts something there that is no file."""

    def make(path: Path) -> None:
        match request.param:
            case "fifo":
                os.mkfifo(path)
            case "endless":
                with path.open("wb") as file:
                    file.truncate(1 << 40)  # sparse
            case "link to endless":
                path.symlink_to("/dev/zero")
            case _:
                path.mkdir()

    return make


def test_a_seal_key(house: House, odd: Make) -> None:
    custody = Custody("file", house.seal_key)
    odd(custody.path)
    assert custody.look()[0] is Presence.INVALID
    assert refused(custody.load) is faults.SEAL_KEY_INVALID


def test_the_mark_beside_it_which_counts_and_names_nobody(house: House, odd: Make) -> None:
    custody = Custody("file", house.seal_key)
    odd(house.etc / "seal.key.used")
    assert custody.used()
    assert custody.used_for() == ""


def test_a_ledger_which_counts_as_lost(house: House, odd: Make) -> None:
    odd(house.volume / "ledger.json")
    ledger = Ledger(house.volume / "ledger.json")
    ledger.take_up(KeySet(LINEAGE, PAYLOAD.keyset.keys))
    assert ledger.served == 0


def test_the_record_of_a_backup_which_counts_as_none(house: House, odd: Make) -> None:
    odd(house.volume / "verified.json")
    assert Record(house.volume / "verified.json").read() is None


def test_the_provisioners_note_which_says_nothing_and_is_replaced(memory_dir: Path, odd: Make) -> None:
    odd(memory_dir / ".refusal.json")
    assert note.read(memory_dir) is None
    note.leave(memory_dir, KleidiError(faults.VOLUME_EMPTY, "why"))
    left = note.read(memory_dir)
    if (memory_dir / ".refusal.json").is_dir():
        assert left is None
    else:
        assert left is not None
        assert (left.fault, left.detail) == (faults.VOLUME_EMPTY, "why")
        note.clear(memory_dir)
        assert note.read(memory_dir) is None


def test_a_file_of_a_token_that_is_collected(memory_dir: Path, odd: Make) -> None:
    (memory_dir / "a1").mkdir()
    odd(memory_dir / "a1" / "token.object")
    if (memory_dir / "a1" / "token.object").is_dir():
        assert memory.collect(memory_dir) == {}
    else:
        assert refused(lambda: memory.collect(memory_dir)) is faults.MEMORY_FULL


def test_a_file_of_a_token_that_is_looked_into(tmp_path: Path, odd: Make) -> None:
    (tmp_path / "a1").mkdir()
    odd(tmp_path / "a1" / "token.object")
    assert directory.check(tmp_path) == 1
    with pytest.raises(SoftHsmError):
        directory.home(tmp_path, "a serial")


def test_a_bundle_on_the_shelf(tmp_path: Path, odd: Make) -> None:
    odd(tmp_path / "bundle.age")
    fault = refused(lambda: backups.kept(tmp_path / "bundle.age"))
    assert fault in (faults.BACKUP_UNREADABLE, faults.BACKUP_CORRUPT)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        ("adopt TOKENS --pin-file ZERO", "E-TOKEN-NOT-ADOPTED"),
        ("adopt ODD --pin-file EMPTY", "E-TOKEN-NOT-ADOPTED"),
        ("backup create --passphrase-file ZERO", "E-BACKUP-PASSPHRASE"),
        ("backup verify EMPTY --identity ZERO", "E-BACKUP-IDENTITY"),
        ("backup verify ZERO", "E-BACKUP-CORRUPT"),
        ("unseal --passphrase-file ZERO", "E-SLOT-SECRET"),
        ("node join ZERO", "E-NODE-BUNDLE"),
    ],
)
def test_what_an_operator_names_may_be_anything_but_endless(
    house: House, tmp_path: Path, verb: str, fault: str
) -> None:
    for name in ("tokens", "odd"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "odd" / "token.object")
    (tmp_path / "empty").touch()
    places = {
        "ZERO": "/dev/zero",
        **{name.upper(): str(tmp_path / name) for name in ("tokens", "odd", "empty")},
    }
    ended = house.kleidi(*(places.get(word, word) for word in verb.split()))
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"kleidi: {fault}: ")
    assert ended.returncode != 0


def test_a_pipe_that_an_operator_names_is_read(house: House, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = 'echo not an identity > "$1" & exec "${@:2}"'
    verb = ("backup", "verify", str(tmp_path / "bundle"), "--identity", str(tmp_path / "pipe"))
    (tmp_path / "bundle").write_bytes(b"x")
    ended = house.run("bash", "-c", script, "bash", str(tmp_path / "pipe"), *KLEIDI, *verb)
    assert "E-BACKUP-IDENTITY" in ended.stderr
