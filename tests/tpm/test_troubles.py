"""Whatever keeps a TPM from opening is told by what to do about it."""

import errno
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from appliance.tpm.about import about
from appliance.tpm.device import conversation
from appliance.tpm.errors import TpmError, Trouble
from appliance.tpm.sealed import seal, unseal
from appliance.tpm.wire import HEADER, Command, plain, sized, u16, u32
from tests.tpm import relay
from tests.tpm.chip import Chip, create_primary
from tests.tpm.test_sealing import COUNTS
from tests.tpm.told import told

KEY = secrets.token_bytes(32)
NOBODY = 65534


def asked(path: Path, seconds: float = 10.0) -> TpmError:
    """What asking for nothing but properties ends with."""
    with pytest.raises(TpmError) as caught, conversation(path, seconds) as exchange:
        about(exchange)
    return caught.value


def refused(code: int) -> bytes:
    return HEADER.pack(0x8001, HEADER.size, code)


def test_nothing_is_there(tmp_path: Path) -> None:
    assert asked(tmp_path / "tpmrm0").trouble is Trouble.MISSING
    (tmp_path / "file").touch()
    assert asked(tmp_path / "file").trouble is Trouble.MISSING
    assert asked(tmp_path).trouble is Trouble.MISSING


def test_a_socket_without_a_server(chip: Chip) -> None:
    chip.cut()
    assert asked(chip.path).trouble is Trouble.MISSING


def test_a_tpm_that_no_firmware_started(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with Chip(tmp_path / "state", started=False) as chip:
        error = asked(chip.path)
    assert (error.trouble, error.code) == (Trouble.MISSING, 0x100)


def test_a_tpm_in_failure_mode() -> None:
    with relay.served(lambda _: refused(0x101)) as path:
        assert asked(path).trouble is Trouble.MISSING


def test_a_tpm_that_dies_in_the_middle(chip: Chip) -> None:
    made = chip.seal(KEY)
    with chip.talk() as exchange:

        def dying(command: bytes) -> bytes:
            if command[6:10] == u32(Command.LOAD):
                chip.cut()
            return exchange(command)

        assert told(unseal, dying, made) is Trouble.MISSING


def test_a_connection_that_ends_instead_of_an_answer() -> None:
    with relay.served(lambda _: None) as path:
        assert asked(path).trouble is Trouble.MISSING


@pytest.mark.parametrize("size", [0, 5, 30])
def test_an_answer_that_does_not_come_to_its_end(chip: Chip, size: int) -> None:
    with chip.talk() as exchange, relay.served(lambda command: exchange(command)[:size]) as path:
        assert asked(path, 0.2).trouble is Trouble.BUSY


def test_who_may_not_open_a_socket(chip: Chip) -> None:
    chip.path.chmod(0)
    with as_nobody():
        error = asked(chip.path)
    assert error.trouble is Trouble.FORBIDDEN
    assert f"(gid {chip.path.stat().st_gid})" in error.detail


def test_who_is_not_in_the_group_of_a_device(chip: Chip) -> None:
    with relay.device(chip) as path:
        path.chmod(0)
        with as_nobody():
            error = asked(path)
        assert error.trouble is Trouble.FORBIDDEN
        assert f"(gid {path.stat().st_gid})" in error.detail


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads everything; any other user only has to have no right."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("number", "trouble"),
    [
        # In a container it is the kernel itself that says so: tests/container/test_tpm.py.
        (errno.EPERM, Trouble.FORBIDDEN),
        (errno.EBUSY, Trouble.BUSY),
        (errno.ENODEV, Trouble.MISSING),
        (errno.EIO, Trouble.MISSING),
    ],
)
def test_what_the_kernel_says_of_a_device(
    chip: Chip, monkeypatch: pytest.MonkeyPatch, number: int, trouble: Trouble
) -> None:
    def refuses(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with relay.device(chip) as path:
        monkeypatch.setattr("appliance.tpm.device.os.open", refuses)
        assert asked(path).trouble is trouble


def test_an_owner_with_a_password(chip: Chip) -> None:
    made = chip.seal(KEY)
    chip.own(b"theirs")
    assert told(chip.unseal, made) is Trouble.OWNED
    assert told(chip.seal, KEY) is Trouble.OWNED


def test_an_owner_who_is_switched_off(chip: Chip) -> None:
    made = chip.seal(KEY)
    chip.switch_owner_off()
    assert told(chip.unseal, made) is Trouble.OWNED


def test_somebody_elses_guesses_lock_nothing_of_ours(chip: Chip) -> None:
    made = chip.seal(KEY)
    chip.guess_wrong(3)
    found = chip.about()
    assert (found.failed, found.locked) == (3, True)
    assert chip.unseal(made) == KEY
    assert chip.unseal(chip.seal(KEY)) == KEY
    assert chip.about().failed == 3


def test_power_cuts_lock_nothing_of_ours(chip: Chip) -> None:
    made = chip.seal(KEY)
    for _ in range(4):
        assert chip.unseal(made) == KEY
        chip.cut_and_start()
    assert chip.about().failed == 0


def test_a_failed_policy_is_no_guess(chip: Chip) -> None:
    chip.extend(7)
    made = chip.seal(KEY, (7,))
    chip.extend(7)
    for _ in range(4):
        assert told(chip.unseal, made, (7,)) is Trouble.PCR
        chip.cut_and_start()
    assert chip.about().failed == 0


def test_under_a_key_of_the_hosts_that_counts_power_cuts_lock_it(chip: Chip) -> None:
    """Why a key of ours is better: this is what noDA on the sealed bytes alone comes to."""
    chip.keep_storage_key(COUNTS)
    chip.own(b"theirs")
    made = chip.seal(KEY)
    found = []
    for _ in range(4):
        found.append(told(chip.unseal, made))
        chip.cut_and_start()
    assert found == [None, None, None, Trouble.LOCKED]


@pytest.mark.parametrize("what", ["objects", "sessions"])
def test_somebody_left_no_room(chip: Chip, what: str) -> None:
    made = chip.seal(KEY)
    with chip.talk() as exchange:
        for _ in range(3):
            if what == "objects":
                create_primary(exchange, COUNTS)
            else:
                null, nonce = u32(0x40000007), sized(bytes(32))
                area = null + null + nonce + sized(b"") + b"\0" + u16(0x10) + u16(0x0B)
                plain(exchange, Command.START_AUTH_SESSION, area)
    assert told(chip.unseal, made) is Trouble.BUSY


def test_a_second_client_waits_no_longer_than_it_was_told(chip: Chip) -> None:
    with chip.talk() as exchange:
        about(exchange)
        assert asked(chip.path, 0.2).trouble is Trouble.BUSY


def test_a_device_works_like_a_socket(chip: Chip) -> None:
    with relay.device(chip) as path, conversation(path) as exchange:
        made, _ = seal(exchange, KEY)
        assert unseal(exchange, made) == KEY


def test_a_device_that_hangs_is_left_behind(chip: Chip) -> None:
    with relay.device(chip, silent=True) as path:
        assert asked(path, 0.2).trouble is Trouble.BUSY
        left = [thread for thread in threading.enumerate() if thread.name == "tpm"]
        assert len(left) == 1
        for _ in range(3):
            assert asked(path).trouble is Trouble.BUSY
        assert [thread for thread in threading.enumerate() if thread.name == "tpm"] == left
    left[0].join()
    # The next of that name answers.
    with relay.device(chip) as path, conversation(path) as exchange:
        about(exchange)


@pytest.mark.parametrize("code", [0x922, 0x908, 0x90A])
def test_put_off_it_sends_the_same_again(chip: Chip, code: int) -> None:
    with ExitStack() as scenes:
        exchange = scenes.enter_context(chip.talk())
        seen: list[bytes] = []

        def busy(command: bytes) -> bytes:
            seen.append(command)
            return refused(code) if len(seen) % 3 else exchange(command)

        path = scenes.enter_context(relay.served(busy))
        with conversation(path) as through:
            assert about(through).most_failed == 3
    assert len(seen) == 6
    assert seen[:3] == seen[:1] * 3


def test_put_off_for_ever_it_gives_up() -> None:
    with relay.served(lambda _: refused(0x922)) as path:
        assert asked(path, 0.3).trouble is Trouble.BUSY


MEANINGS: list[tuple[int, Trouble]] = [
    (0x100, Trouble.MISSING),
    (0x101, Trouble.MISSING),
    (0x128, Trouble.PCR),
    (0x185, Trouble.OWNED),
    (0x1D5, Trouble.CORRUPT),
    (0x1DF, Trouble.CORRUPT),
    (0x2D5, Trouble.CORRUPT),
    (0x902, Trouble.BUSY),
    (0x903, Trouble.BUSY),
    (0x921, Trouble.LOCKED),
    (0x98E, Trouble.ANSWER),
    (0x99D, Trouble.PCR),
    (0x9A2, Trouble.OWNED),
    (0xFFFFFFFF, Trouble.ANSWER),
]


@pytest.mark.parametrize(("code", "trouble"), MEANINGS)
def test_what_a_code_means(code: int, trouble: Trouble) -> None:
    with relay.served(lambda _: refused(code)) as path:
        error = asked(path)
    assert (error.trouble, error.code) == (trouble, code)
