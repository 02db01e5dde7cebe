"""The command line's end when no answer comes: each cause has its own name."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance import faults
from appliance.client import admin
from appliance.client.knock import listener
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Command, Verb
from tests.service.conftest import Launch, wait_until_able
from tests.service.running import Running, until
from tests.service.scene import Scene

NOBODY = 65534
_ASK = """
import os, sys
from pathlib import Path
from appliance.faults import KleidiError
from appliance.client.admin import ask
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
try:
    ask(Path(sys.argv[1]))
except KleidiError as error:
    print(error.fault.id)
"""


def fault_of(act: Callable[[], object]) -> Fault:
    with pytest.raises(KleidiError) as caught:
        act()
    return caught.value.fault


def asked_by_nobody(path: Path) -> str:
    command = [sys.executable, "-c", _ASK.format(uid=NOBODY), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_dead_ones_socket_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        assert fault_of(lambda: admin.ask(path)) is faults.SERVER_UNREACHABLE
    assert fault_of(lambda: admin.ask(path)) is faults.SERVER_UNREACHABLE


def test_who_listens_is_told_by_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    assert listener(path) is None
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(0)
        assert listener(path) == os.getpid()
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(str(path))
        assert listener(path) == 0  # it lives, and nobody else gets in
        for each in waiting:
            each.close()


def test_another_service_is_not_taken_for_a_server_that_is_down(running: Running) -> None:
    assert fault_of(lambda: admin.ask(running.scene.socket)) is faults.SERVER_ELSEWHERE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_may_not_enter_is_told_so(running: Running) -> None:
    scene = running.scene
    assert asked_by_nobody(scene.admin) == faults.SERVER_DENIED.id
    # Where the modes would let him in, the check of who connects does not.
    for path, mode in ((scene.root, 0o711), (scene.admin.parent, 0o711), (scene.admin, 0o666)):
        path.chmod(mode)
    assert asked_by_nobody(scene.admin) == faults.SERVER_DENIED.id


def test_a_server_that_dies_over_a_command_leaves_open_whether_it_was_done(
    scene: Scene, launch: Launch
) -> None:
    process = launch()
    wait_until_able(scene)
    process.send_signal(signal.SIGUSR1)  # what comes after the commit waits for the token
    command = Command(Verb.PROMOTE, scene.key(KeyState.STAGED).name)
    with ThreadPoolExecutor(1) as pool:
        promoting = pool.submit(
            lambda: fault_of(lambda: admin.change(scene.admin, admin.change_request(command)))
        )
        until(scene.volume.file(2).exists, "it is committed")
        process.kill()
        assert promoting.result() is faults.SERVER_CUT_OFF
