"""Whatever becomes of the volume under a server: what was opened stays open, and somebody is told."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.backup.bundle import open_bundle
from appliance.client import admin
from appliance.client.report import Changed
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Command, Verb
from proto.admin import admin_pb2
from tests.service.client import Client, connected
from tests.service.conftest import Start
from tests.service.running import Running, until
from tests.service.scene import Scene

SECRET = b"thirty-two bytes of a seed, here"


def change(running: Running, verb: Verb, key: str = "", **options: object) -> Changed:
    return admin.change(running.scene.admin, admin.change_request(Command(verb, key, **options)))  # type: ignore[arg-type]


def fault_of(act: Callable[[], object]) -> Fault:
    with pytest.raises(KleidiError) as caught:
        act()
    return caught.value.fault


@pytest.fixture
def older(scene: Scene) -> Path:
    """A copy of the volume as it was before the last key was made."""
    for path in scene.volume.path.glob("generation-*"):
        path.unlink()
    scene.seal([KeyState.PRIMARY])
    return Path(shutil.copytree(scene.volume.path, scene.root / "older"))


@pytest.fixture
def able(older: Path, start: Start) -> Running:
    """It serves v2, which was made while it ran."""
    assert older.exists()
    running = start()
    running.wait_for("OPERATIONAL")
    change(running, Verb.ROTATE)
    return running


@pytest.fixture
def caller(able: Running) -> Iterator[Client]:
    with connected(able.scene.socket) as client:
        yield client


def emptied(volume: Path, _older: Path) -> None:
    for path in volume.iterdir():
        path.unlink()


def replaced_by_nothing(volume: Path, _older: Path) -> None:
    volume.rename(volume.with_name("away"))
    volume.mkdir(mode=0o700)


def replaced_by_an_older_copy(volume: Path, older: Path) -> None:
    volume.rename(volume.with_name("away"))
    older.rename(volume)


def rolled_back_in_place(volume: Path, older: Path) -> None:
    for path in volume.glob("generation-*"):
        path.unlink()
    for path in older.glob("generation-*"):
        path.rename(volume / path.name)


def removed(volume: Path, _older: Path) -> None:
    shutil.rmtree(volume)


def littered(volume: Path, _older: Path) -> None:
    (volume / "notes.txt").touch()


def damaged(volume: Path, _older: Path) -> None:
    newest = max(volume.glob("generation-*"))
    newest.chmod(0o600)
    newest.write_bytes(newest.read_bytes()[:-1])


def exchanged(volume: Path, _older: Path) -> None:
    """Another generation under the newest one's number."""
    newest = max(volume.glob("generation-*"))
    shutil.copy(min(volume.glob("generation-*")), volume / "copy")
    (volume / "copy").rename(newest)


MISHAPS = [
    emptied,
    replaced_by_nothing,
    replaced_by_an_older_copy,
    rolled_back_in_place,
    removed,
    littered,
    damaged,
    exchanged,
]


@pytest.fixture(params=MISHAPS, ids=lambda mishap: mishap.__name__)
def mishap(request: pytest.FixtureRequest, able: Running, older: Path, caller: Client) -> Iterator[str]:
    """What happens to the volume; afterwards everything that was announced must be served as before."""
    told, wrapped = caller.status().key_id, caller.encrypt(SECRET)
    request.param(able.scene.volume.path, older)
    yield request.param.__name__
    assert caller.status().key_id == told
    assert caller.status().healthz == "ok"
    assert caller.encrypt(SECRET).key_id == told
    assert caller.open(wrapped) == SECRET


def test_it_is_noticed_and_told(able: Running, mishap: str) -> None:
    assert mishap
    able.wait_for("DEGRADED", faults.VOLUME_GONE.id)


@pytest.mark.parametrize("verb", [Verb.PROMOTE, Verb.ROTATE, Verb.STAGE, Verb.DISABLE])
def test_no_change_is_made_and_nothing_is_given_up(able: Running, mishap: str, verb: Verb) -> None:
    """A command with a typo was enough to throw every key out of memory."""
    assert mishap
    assert fault_of(lambda: change(able, verb, "v99")) is faults.VOLUME_CHANGED
    assert [key.name for key in able.report().keys] == ["v1", "v2"]


def test_a_backup_is_made_from_memory_then_above_all(able: Running, mishap: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in able.scene.root.rglob("audit*")}
    identity = Identities.generate()
    request = admin_pb2.BundleRequest(recipients=identity.recipients.names)
    _, payload = open_bundle(admin.bundle(able.scene.admin, request).bundle, identity)
    assert payload.keyset.primary.id == able.report().key_id
    # Nothing is written on what is not ours.
    assert {path: path.stat().st_mtime_ns for path in able.scene.root.rglob("audit*")} == before, mishap


def test_the_keys_go_to_another_node_from_memory(able: Running, mishap: str) -> None:
    assert mishap
    identity = Identities.generate()
    reply = admin.export(able.scene.admin, identity.recipients.names[0])
    _, payload = open_bundle(reply.bundle, identity)
    assert payload.keyset.primary.id == able.report().key_id


def test_a_token_that_is_lost_then_is_opened_again_from_memory(
    able: Running, mishap: str, caller: Client
) -> None:
    assert mishap
    openings = able.scene.engine.openings
    able.scene.engine.lose()
    with pytest.raises(Exception, match="E-TOKEN-LOST"):
        caller.encrypt(SECRET)
    until(lambda: able.scene.engine.openings > openings, "it is opened again")
    able.wait_for("DEGRADED", faults.VOLUME_GONE.id)


def test_a_volume_that_comes_back_is_all_well(able: Running, caller: Client) -> None:
    volume = able.scene.volume.path
    replaced_by_nothing(volume, volume)
    able.wait_for("DEGRADED", faults.VOLUME_GONE.id)
    volume.rmdir()
    volume.with_name("away").rename(volume)
    able.wait_for("OPERATIONAL")
    rotated = change(able, Verb.ROTATE)
    assert caller.status().key_id == rotated.key.key_id


def test_keys_handed_out_meanwhile_bind_this_node_all_the_same(able: Running) -> None:
    """Another node has them: from then on none goes ahead alone, though no generation could say so."""
    volume = able.scene.volume.path
    replaced_by_nothing(volume, volume)
    admin.export(able.scene.admin, Identities.generate().recipients.names[0])
    volume.rmdir()
    volume.with_name("away").rename(volume)
    able.wait_for("OPERATIONAL")
    assert fault_of(lambda: change(able, Verb.ROTATE)) is faults.KEYSET_SHARED
    assert change(able, Verb.STAGE).key.state == "staged"


def test_a_key_that_the_disk_may_not_keep_is_not_announced_until_it_does(
    able: Running, caller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation is in its place; only the directory's fsync fails."""
    volume, fsync, told = able.scene.volume.path, os.fsync, caller.status().key_id
    staged = change(able, Verb.STAGE).key.key_id

    def failing(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), volume.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        assert fault_of(lambda: change(able, Verb.PROMOTE, staged)) is faults.VOLUME_UNSURE
        able.wait_for("DEGRADED", faults.VOLUME_GONE.id)
        assert caller.status().key_id == caller.encrypt(SECRET).key_id == told
    able.wait_for("OPERATIONAL")
    assert caller.status().key_id == staged


def test_an_anchor_that_goes_away_is_written_again(able: Running) -> None:
    path = able.scene.anchor.path
    assert path is not None
    before = path.read_bytes()
    path.unlink()
    until(path.exists, "the anchor is there again")
    assert path.read_bytes() == before


def test_an_anchor_of_another_lineage_is_told_and_left(able: Running) -> None:
    path = able.scene.anchor.path
    assert path is not None
    other = path.read_bytes().replace(b"0123456789ab", b"ffffffffffff")
    path.write_bytes(other)
    able.wait_for("DEGRADED", faults.ANCHOR_UNREADABLE.id)
    assert path.read_bytes() == other
