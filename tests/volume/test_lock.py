"""One volume serves one appliance."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from appliance import faults
from appliance.volume.generations import Volume
from tests.volume.house import CHECKOUT, House, refused

HOLDER = """
import sys
from pathlib import Path
from appliance.volume.generations import Volume
with Volume(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(volume: Volume) -> None:
    with volume.lock():
        pass


def test_a_second_holder_is_refused_at_once(house: House) -> None:
    volume = Volume(house.volume)
    with volume.lock():
        assert refused(lambda: hold(Volume(house.volume))) is faults.VOLUME_LOCKED
    hold(volume)


def test_another_process_is_refused_until_the_first_is_dead(house: House) -> None:
    command = [sys.executable, "-c", HOLDER, str(house.volume)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert refused(lambda: hold(Volume(house.volume))) is faults.VOLUME_LOCKED
        assert Volume(house.volume).holder() == f"process {other.pid}"
        os.kill(other.pid, signal.SIGKILL)
    assert Volume(house.volume).holder() == ""
    hold(Volume(house.volume))


def test_who_holds_it_is_told_without_touching_it(house: House) -> None:
    volume = Volume(house.volume)
    assert volume.holder() == ""
    assert not (house.volume / "lock").exists()
    with volume.lock():
        assert volume.holder() == f"process {os.getpid()}"
    assert volume.holder() == ""


def test_an_error_inside_lets_go(house: House) -> None:
    volume = Volume(house.volume)
    try:
        with volume.lock():
            raise ZeroDivisionError
    except ZeroDivisionError:
        hold(volume)


def test_a_child_process_does_not_keep_it(house: House) -> None:
    with Volume(house.volume).lock():
        child = subprocess.Popen(["sleep", "30"])
    try:
        hold(Volume(house.volume))
    finally:
        child.kill()
        child.wait()


def test_a_volume_that_turned_read_only_can_still_be_locked(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    volume = Volume(open_house.volume)
    hold(volume)
    (open_house.volume / "lock").chmod(0o444)
    open_house.volume.chmod(0o555)
    assert as_nobody(lambda: hold(volume)) is None


def test_a_volume_that_cannot_be_locked_says_why(
    open_house: House, as_nobody: Callable[[Callable[[], Any]], Any]
) -> None:
    open_house.volume.chmod(0o555)
    fault = as_nobody(lambda: refused(lambda: hold(Volume(open_house.volume))).id)
    assert fault in (faults.VOLUME_UNREADABLE.id, faults.VOLUME_READ_ONLY.id)
