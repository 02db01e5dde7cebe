import stat
from pathlib import Path

import pytest

from appliance import faults
from appliance.client.admin import ask
from appliance.client.report import KeyRow
from appliance.faults import Exit, KleidiError
from appliance.provision.plan import Refusal
from tests.service.conftest import Start
from tests.service.running import Running
from tests.service.scene import LINEAGE, Scene


def test_reports_in_full_over_a_socket_of_its_own(running: Running) -> None:
    report, scene = running.report(), running.scene
    assert (report.state, report.reason_id, report.reason) == ("OPERATIONAL", "", "")
    assert report.exit is Exit.OK
    assert (report.socket, report.key_id) == (str(scene.socket), scene.key().id)
    assert (report.lineage, report.keyset, report.generation) == (LINEAGE, scene.keyset.hash, 1)
    assert report.protection == "memory"
    assert report.keys == [KeyRow.of(key) for key in scene.keyset.keys]


def test_only_the_owner_may_talk_to_it(running: Running) -> None:
    status = running.scene.admin.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert status.st_mode & 0o777 == 0o600


def test_tells_reason_and_detail_while_there_is_no_key(scene: Scene, start: Start) -> None:
    scene.waiting_for = Refusal(faults.VOLUME_FOREIGN, "holiday.jpg")
    running = start()
    running.wait_for("FAILED", faults.VOLUME_FOREIGN.id)
    report = running.report()
    assert report.reason == f"{faults.VOLUME_FOREIGN} (holiday.jpg)"
    assert report.exit is faults.VOLUME_FOREIGN.exit
    assert (report.key_id, report.keyset, report.keys) == ("", "", [])
    # These stand outside on the seal, which nothing has to be open for.
    assert (report.lineage, report.generation) == (scene.keyset.lineage, 1)
    assert report.socket == str(scene.socket)


def test_answers_while_the_cipher_hangs(running: Running) -> None:
    running.scene.engine.hang()
    assert running.report().state == "OPERATIONAL"
    running.scene.engine.release()


def test_without_a_server_asking_says_so(tmp_path: Path) -> None:
    with pytest.raises(KleidiError) as caught:
        ask(tmp_path / "admin.sock")
    assert caught.value.fault is faults.SERVER_UNREACHABLE


def test_is_gone_with_the_server(running: Running) -> None:
    running.stop()
    with pytest.raises(KleidiError) as caught:
        ask(running.scene.admin)
    assert caught.value.fault is faults.SERVER_UNREACHABLE
