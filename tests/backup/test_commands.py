"""The verbs as an operator types them: through the running server, and on the volume without one."""

import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from appliance.age.key_pairs import Identities
from tests.backup import terminal
from tests.rig import BIN, Appliance
from tests.volume.house import KLEIDI, House

SECRET = "correct horse battery"  # noqa: S105  a test's
SNAPSHOT = Path(__file__).parent.parent / "usage" / "snapshot.db.gz"
DATED = SNAPSHOT.with_name("dated-key-name.json")


@pytest.fixture
def key_file(tmp_path: Path, identity: Identities) -> str:
    path = tmp_path / "identity.txt"
    path.write_text(identity.secrets[0] + "\n")
    return str(path)


@pytest.fixture
def appliance(tmp_path: Path, identity: Identities) -> Iterator[Appliance]:
    (tmp_path / "backups").mkdir()
    with Appliance(
        tmp_path / "node",
        backup_recipients=identity.recipients.names[0],
        backup_dir=str(tmp_path / "backups"),
        require_backup="true",
    ) as appliance:
        (tmp_path / "node").mkdir()
        appliance.start()
        appliance.wait_ready()
        yield appliance


def done(ended: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def test_a_nodes_life_with_backups(appliance: Appliance, tmp_path: Path, key_file: str) -> None:
    backups = tmp_path / "backups"
    (first,) = backups.iterdir()  # ahead of the very first commit
    assert "backup      never verified" in done(appliance.run("status"))

    assert "MATCHES" in done(appliance.run("backup", "drill", "--identity", key_file))
    assert "backup      g1 verified just now, covers all keys" in done(appliance.run("status"))

    # What is not in a verified backup does not become primary.
    assert "E-KEY-NOT-BACKED-UP" in appliance.run("key", "rotate").stderr
    done(appliance.run("key", "stage"))
    assert "lacks v2" in done(appliance.run("status"))
    assert "STALE: lacks v2" in done(
        appliance.run("backup", "verify", str(first), "--identity", key_file, "--against-live"), 10
    )
    assert "E-KEY-NOT-BACKED-UP" in appliance.run("key", "promote", "v2").stderr
    done(appliance.run("backup", "drill", "--identity", key_file))
    done(appliance.run("key", "promote", "v2"))
    status = json.loads(done(appliance.run("status", "-o", "json")))
    assert status["backup"]["lacks"] == []

    # The volume is lost, and comes back while the server waits for it.
    key_id = appliance.wait_ready()
    appliance.stop()
    for path in appliance.volume.iterdir():
        path.unlink()
    appliance.environment["KLEIDI_PROVISION"] = "never"
    appliance.start()
    newest = max(backups.iterdir())
    until_said(appliance, "E-VOLUME-EMPTIED")
    assert "would have restored" in done(
        appliance.run("backup", "restore", str(newest), "--identity", key_file, "--dry-run")
    )
    told = json.loads(
        done(appliance.run("backup", "restore", str(newest), "--identity", key_file, "-o", "json"))
    )
    assert (told["verified"], told["recorded"]) == (2, True)
    assert appliance.wait_ready() == key_id
    assert (
        "there is nothing to do"
        in appliance.run("backup", "restore", str(newest), "--identity", key_file).stderr
    )


def until_said(appliance: Appliance, reason: str) -> None:
    deadline = time.monotonic() + 30
    while reason not in appliance.run("status").stdout:
        assert time.monotonic() < deadline, appliance.log()


def test_a_commit_that_cannot_be_backed_up_does_not_happen(appliance: Appliance, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    for path in backups.iterdir():
        path.unlink()
    backups.rmdir()
    refused = appliance.run("key", "stage")
    assert refused.returncode == 5
    assert refused.stderr.startswith("kleidi: E-BACKUP-FAILED: ")
    assert "v2" not in done(appliance.run("key", "list"))


@pytest.fixture
def provisioned(house: House) -> House:
    assert house.kleidi("provision").returncode == 0
    return house


def create(house: House, *more: str) -> Path:
    told = json.loads(done(house.kleidi("backup", "create", str(house.root), "-o", "json", *more)))
    return Path(told["file"])


def test_without_a_server_the_volume_itself_is_asked(
    provisioned: House, identity: Identities, key_file: str
) -> None:
    file = create(provisioned, "--to", identity.recipients.names[0])
    assert file.name.startswith("kleidi-")
    assert file.stat().st_mode & 0o777 == 0o400
    said = done(provisioned.kleidi("backup", "verify", str(file), "--identity", key_file, "--against-live"))
    assert "verified 1 key\nMATCHES" in said


def test_nothing_is_ever_replaced(provisioned: House, identity: Identities) -> None:
    file = create(provisioned, "--to", identity.recipients.names[0])
    before = file.read_bytes()
    again = provisioned.kleidi("backup", "create", str(file), "--to", identity.recipients.names[0])
    assert again.returncode == 5
    assert "E-BACKUP-EXISTS" in again.stderr
    assert file.read_bytes() == before
    assert not list(provisioned.root.glob(".tmp-*"))


def test_a_dry_run_writes_nothing(provisioned: House, identity: Identities) -> None:
    before = provisioned.snapshot()
    said = done(
        provisioned.kleidi(
            "backup", "create", str(provisioned.root), "--dry-run", "--to", identity.recipients.names[0]
        )
    )
    assert said.startswith("would have created")
    assert provisioned.snapshot() == before
    assert not list(provisioned.root.glob("*.age"))


def test_a_passphrase_comes_from_a_file(provisioned: House, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text(SECRET + "\n")
    file = create(provisioned, "--passphrase-file", str(secret))
    done(provisioned.kleidi("backup", "verify", str(file), "--passphrase-file", str(secret)))
    secret.write_text(SECRET + "!\n")
    wrong = provisioned.kleidi("backup", "verify", str(file), "--passphrase-file", str(secret))
    assert (wrong.returncode, wrong.stderr[:26]) == (6, "kleidi: E-BACKUP-KEY-WRONG")
    nobody = provisioned.kleidi("backup", "verify", str(file))
    assert "there is no terminal" in nobody.stderr


@pytest.mark.parametrize(("second", "code"), [(SECRET, 0), (SECRET + "?", 2)])
def test_at_a_terminal_it_is_asked_for_twice(provisioned: House, second: str, code: int) -> None:
    file = provisioned.root / "bundle.age"
    arguments = ["backup", "create", str(file), "--passphrase"]
    ended, said = terminal.answer(BIN / "kleidi", arguments, [SECRET, second], provisioned.environment)
    assert ended == code, said
    assert file.exists() == (code == 0)
    assert SECRET.encode() not in said


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["create"], "E-BACKUP-RECIPIENT"),
        (["create", "--to", "age1nobody"], "E-BACKUP-RECIPIENT"),
        (["create", "--to", "age1x", "--passphrase"], "E-BACKUP-RECIPIENT"),
        (["create", "--passphrase"], "E-BACKUP-PASSPHRASE"),
        (["create", "--passphrase-file", "/nowhere"], "E-BACKUP-PASSPHRASE"),
        (["verify", "/nowhere"], "E-BACKUP-UNREADABLE"),
        (["verify", "/dev/zero"], "E-BACKUP-CORRUPT"),
        (["verify", "/etc/hostname"], "E-BACKUP-IDENTITY"),
        (["verify", "/etc/hostname", "--identity", "/nowhere"], "E-BACKUP-IDENTITY"),
        (["verify", "/etc/hostname", "--usage", "/etc/hostname"], "E-USAGE-INVALID"),
        (["verify", "/etc/hostname", "--usage", "/dev/zero"], "E-USAGE-INVALID"),
        (["verify", "/etc/hostname", "--usage", "/nowhere"], "E-INPUT-UNREADABLE"),
        (["verify", "/etc/hostname", "--etcd-snapshot", "/nowhere"], "E-INPUT-UNREADABLE"),
        (["verify", "/etc/hostname", "--etcd-snapshot", "/etc/hostname"], "E-SNAPSHOT-INVALID"),
        (["drill"], "E-CONFIG"),
    ],
)
def test_what_cannot_be_done_is_one_line(house: House, arguments: list[str], fault: str) -> None:
    ended = house.kleidi("backup", *arguments)
    assert ended.returncode not in (0, 1) or fault.startswith(("E-USAGE", "E-SNAPSHOT", "E-INPUT"))
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"kleidi: {fault}: ")


def test_which_stored_objects_a_bundle_opens(
    provisioned: House, identity: Identities, key_file: str, tmp_path: Path
) -> None:
    file = create(provisioned, "--to", identity.recipients.names[0])
    snapshot = tmp_path / "snapshot.db"
    snapshot.write_bytes(gzip.decompress(SNAPSHOT.read_bytes()))
    verify = ["backup", "verify", str(file), "--identity", key_file]
    said = done(provisioned.kleidi(*verify, "--etcd-snapshot", str(snapshot)), 10)
    assert "opens 0 of 141 objects" in said
    assert "lacks kleidi/901de4901de4/v2/000000000002: 100 objects" in said

    zipped = tmp_path / "etcd-snapshot-node-1700000000.zip"
    with ZipFile(zipped, "w", ZIP_DEFLATED) as archive:
        archive.write(snapshot, "etcd-snapshot-node-1700000000")
    packed = [*verify, "--etcd-snapshot", str(zipped), "--prefix", "registry"]
    assert done(provisioned.kleidi(*packed), 10) == said

    key_id = provisioned.storage().open().payload.keyset.primary.id
    row = {"resource": "secrets", "kind": "kms-v2", "provider": "kleidi", "key_id": key_id, "objects": 7}
    usage = {"schema": "kleidi.usage/v1", "complete": True, "key_id": "", "rows": [row]}
    document = tmp_path / "usage.json"
    document.write_text(json.dumps(usage))
    assert "opens 7 of 7 objects" in done(provisioned.kleidi(*verify, "--usage", str(document)))
    for spoilt in (usage | {"complete": False}, usage | {"key_id": key_id}, usage | {"rows": []}):
        document.write_text(json.dumps(spoilt))
        assert "E-USAGE-INVALID" in provisioned.kleidi(*verify, "--usage", str(document)).stderr


def test_objects_of_other_providers_ask_nothing_of_a_bundle(
    provisioned: House, identity: Identities, key_file: str, tmp_path: Path
) -> None:
    verify = ["backup", "verify", str(create(provisioned, "--to", identity.recipients.names[0]))]
    document = tmp_path / "usage.json"
    document.write_text(done(provisioned.kleidi("usage", "--from-etcdctl", str(DATED), "-o", "json")))
    said = done(provisioned.kleidi(*verify, "--identity", key_file, "--usage", str(document)))
    assert "opens 0 of 0 objects" in said

    # Whole or not: what AES or secretbox made was never under a key of ours.
    counted = json.loads(document.read_text())
    counted["rows"][1]["kind"] = "damaged"
    document.write_text(json.dumps(counted | {"damaged": 4}))
    said = done(provisioned.kleidi(*verify, "--identity", key_file, "--usage", str(document)))
    assert "opens 0 of 0 objects" in said


def test_what_somebody_put_where_bundles_lie_does_not_hold_up_a_drill(
    provisioned: House, tmp_path: Path, key_file: str
) -> None:
    os.mkfifo(tmp_path / f"kleidi-{provisioned.storage().open().header.lineage}-g9-20990101T000000Z.age")
    drill = [*KLEIDI, "backup", "drill", "--identity", key_file]
    ended = provisioned.run("env", f"KLEIDI_BACKUP_DIR={tmp_path}", *drill)
    assert "E-BACKUP-UNREADABLE" in ended.stderr
    assert "not a regular file" in ended.stderr


def test_a_machine_without_the_volume_verifies_and_says_that_it_is_not_recorded(
    provisioned: House, identity: Identities, key_file: str, memory_dir: Path, tmp_path: Path
) -> None:
    file = create(provisioned, "--to", identity.recipients.names[0])
    laptop = House(tmp_path / "laptop", memory_dir).build()
    said = done(laptop.kleidi("backup", "verify", str(file), "--identity", key_file))
    assert "verified 1 key\nnot recorded" in said
    assert not list(laptop.volume.iterdir())
