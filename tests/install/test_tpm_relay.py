"""The relay as the host's systemd runs it: the text that an installation writes, one process for a client."""

import ast
import os
import secrets
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from appliance.install import chip, tpm_relay
from appliance.manifests import relay
from appliance.manifests.description import Description, User
from appliance.manifests.tpm import DEVICE, Tpm
from appliance.slots.tpm import TpmEscrow
from appliance.tpm.wire import Command
from tests.conformance.patience import eventually
from tests.install.texts import unit
from tests.rig import MEMORY
from tests.tpm.chip import Chip

TEXTS = relay.files(Description(tpm=Tpm(chip.program())))
SECONDS = 30.0
# Tag without sessions; GetRandom of eight bytes; GetCapability of the manufacturer (TPM 2.0 part 3).
RANDOM = struct.pack(">HIIH", 0x8001, 12, 0x17B, 8)
MAKER = struct.pack(">HIIIII", 0x8001, 22, 0x17A, 6, 0x105, 1)
# Tag with sessions; the lock-out hierarchy and an empty password: clears a TPM that nobody owns.
CLEAR = struct.pack(">HIIIIIHBH", 0x8002, 27, 0x126, 0x4000000A, 9, 0x40000009, 0, 0, 0)
EXTEND = struct.pack(">HIII", 0x8002, 14, 0x182, 7)
NO_SUCH_COMMAND = struct.pack(">HII", 0x8001, 10, 0x143)


@pytest.fixture
def directory() -> Iterator[Path]:
    """In memory: pytest's directories are too long for a socket's path."""
    made = MEMORY / f"kleidi-tpm-{secrets.token_hex(4)}"
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[Chip]:
    with Chip(tmp_path) as chip:
        yield chip


def command(directory: Path, device: Path) -> list[str]:
    """What the unit has systemd execute, with the program's written text and *device* in their places."""
    program = directory / Path(relay.PROGRAM).name
    program.write_text(TEXTS[program.name])
    [line] = [value for _, key, value in unit(TEXTS["kleidi-tpm@.service"]) if key == "ExecStart"]
    places = {relay.PROGRAM: str(program), DEVICE: str(device)}
    return [places.get(word, word) for word in line.split()]


class Client:
    """A connection, and the process that systemd would have started for it."""

    def __init__(self, directory: Path, device: Path) -> None:
        self.socket, other = socket.socketpair()
        self.socket.settimeout(SECONDS)
        with other:
            self._process = subprocess.Popen(
                command(directory, device),
                stdin=other.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def asks(self, data: bytes) -> bytes:
        self.socket.sendall(data)
        return self.answer()

    def answer(self) -> bytes:
        """One whole answer; nothing where the other end hung up."""
        try:
            data = self.socket.recv(10, socket.MSG_WAITALL)
            rest = struct.unpack_from(">I", data, 2)[0] - len(data) if data else 0
            return data + (self.socket.recv(rest, socket.MSG_WAITALL) if rest else b"")
        except ConnectionError:
            return b""

    def ends(self) -> tuple[int, str]:
        """Its exit code and what it told the journal; to a client it told nothing but answers."""
        self.socket.close()
        out, err = self._process.communicate(timeout=SECONDS)
        assert out == b""
        return self._process.returncode, err.decode()


Dial = Callable[[], Client]


@pytest.fixture
def dial(directory: Path, tpm: Chip) -> Iterator[Dial]:
    made: list[Client] = []

    def call() -> Client:
        made.append(Client(directory, tpm.path))
        return made[-1]

    yield call
    for client in made:
        client.ends()


@contextmanager
def listening(directory: Path, tpm: Chip) -> Iterator[Path]:
    """What the socket unit does: a process for each who dials."""
    path = directory / "relay.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, command(directory, tpm.path)))
        thread.start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, words: list[str]) -> None:
    with suppress(OSError):  # it ends when it is shut down
        while True:
            connection, _ = server.accept()
            with connection:
                subprocess.run(words, stdin=connection.fileno(), check=False)


def succeeds(answer: bytes) -> bool:
    return int(struct.unpack_from(">I", answer, 6)[0]) == 0


def test_a_command_goes_whole_and_its_answer_comes_back(dial: Dial) -> None:
    client = dial()
    first, second = client.asks(RANDOM), client.asks(RANDOM)
    assert succeeds(first)
    assert len(first) == len(second) == 20
    assert first != second
    assert b"IBM" in client.asks(MAKER)
    assert client.ends() == (0, "")


def test_a_command_may_come_byte_by_byte_and_two_at_a_time(dial: Dial) -> None:
    client = dial()
    for byte in RANDOM:
        client.socket.sendall(bytes([byte]))
    assert succeeds(client.answer())
    assert succeeds(client.asks(RANDOM + MAKER))
    assert b"IBM" in client.answer()
    assert client.ends() == (0, "")


def test_each_client_has_the_tpm_when_the_one_before_has_gone(dial: Dial) -> None:
    """A software TPM takes one at a time; the kernel's resource manager takes both at once."""
    first = dial()
    assert succeeds(first.asks(RANDOM))
    second = dial()
    second.socket.sendall(MAKER)
    assert succeeds(first.asks(RANDOM))
    assert first.ends() == (0, "")
    assert b"IBM" in second.answer()


@pytest.mark.parametrize("size", [0, 9, 4097, 2**32 - 1])
def test_a_size_that_no_command_has_ends_the_connection(dial: Dial, size: int) -> None:
    client = dial()
    assert client.asks(struct.pack(">HII", 0x8001, size, 0x17B)) == b""
    code, told = client.ends()
    assert code == 1
    assert f"a message of {size} bytes" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("length", [1, 9, 11])
def test_half_a_command_never_reaches_the_tpm(dial: Dial, length: int) -> None:
    client = dial()
    client.socket.sendall(RANDOM[:length])
    assert client.ends() == (1, "kleidi-tpm: half a message\n")
    assert succeeds(dial().asks(RANDOM))


@pytest.mark.parametrize("refused", [CLEAR, EXTEND], ids=["Clear", "PCR_Extend"])
def test_what_would_change_the_hosts_tpm_is_not_passed_on(dial: Dial, tpm: Chip, refused: bytes) -> None:
    client = dial()
    assert client.asks(refused) == NO_SUCH_COMMAND
    assert succeeds(client.asks(RANDOM))
    assert client.ends() == (0, "")
    with socket.socket(socket.AF_UNIX) as direct:  # it has such a command
        direct.connect(str(tpm.path))
        direct.sendall(refused)
        assert direct.recv(4096) != NO_SUCH_COMMAND


def test_all_that_a_slot_asks_of_a_tpm_is_passed_on() -> None:
    asked = {code for name, code in vars(Command).items() if not name.startswith("_")}
    assert asked
    assert asked <= tpm_relay.ALLOWED


def test_a_slots_key_goes_in_and_comes_out_through_it(directory: Path, tpm: Chip) -> None:
    with listening(directory, tpm) as path:
        escrow = TpmEscrow(path)
        escrow.ready()
        key = secrets.token_bytes(32)
        values = escrow.deposit(key)
        assert escrow.knows(values)
        assert escrow.release(values) == key
    assert TpmEscrow(tpm.path).release(values) == key


def test_a_tpm_that_is_away_is_told_and_ends_the_connection(directory: Path) -> None:
    client = Client(directory, directory / "none")
    assert client.answer() == b""
    assert client.ends() == (1, f"kleidi-tpm: {directory}/none: No such file or directory\n")


@contextmanager
def busy(tpm: Chip) -> Iterator[None]:
    """It answers nobody else meanwhile: a software TPM takes one at a time."""
    with tpm.talk() as exchange:
        assert succeeds(exchange(RANDOM))
        yield


def test_a_tpm_that_dies_in_the_middle_of_a_command_ends_the_connection(dial: Dial, tpm: Chip) -> None:
    with busy(tpm):
        client = dial()
        client.socket.sendall(RANDOM)
        tpm.cut()
    assert client.answer() == b""
    code, told = client.ends()
    assert code == 1
    assert told.startswith("kleidi-tpm: ")
    tpm.start()
    assert succeeds(dial().asks(RANDOM))


def test_a_client_that_goes_in_the_middle_of_a_command_hurts_nobody(dial: Dial, tpm: Chip) -> None:
    with busy(tpm):
        client = dial()
        client.socket.sendall(RANDOM)
        client.socket.close()
    assert client.ends() == (0, "")
    assert succeeds(dial().asks(RANDOM))


def test_it_is_read_by_the_oldest_python_that_a_node_has() -> None:
    ast.parse(chip.program(), feature_version=(3, 6))


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="this machine has no systemd"
)


@needs_systemd
def test_systemd_starts_one_for_each_client(directory: Path, tpm: Chip) -> None:
    path = directory / "relay.sock"
    listener = subprocess.Popen(
        ["systemd-socket-activate", "--accept", "--inetd", "-l", str(path), *command(directory, tpm.path)],
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        eventually(path.exists, within=SECONDS, pause=0.02)
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(SECONDS)
                client.connect(str(path))
                client.sendall(RANDOM)
                assert succeeds(client.recv(20, socket.MSG_WAITALL))
    finally:
        listener.terminate()
        listener.wait()


@needs_systemd
@pytest.mark.parametrize("uid", [0, 10001])
def test_systemd_reads_the_units_without_a_word(directory: Path, uid: int) -> None:
    described = Description(tpm=Tpm(chip.program()))
    owned = relay.files(described if not uid else Description(user=User.NONROOT, tpm=described.tpm))
    for name in ("kleidi-tpm@.service", "kleidi-tpm.socket", "sockets.target.conf"):
        (directory / name).write_text(owned[name])
    (directory / "sockets.target.d").mkdir()
    (directory / "sockets.target.conf").rename(directory / "sockets.target.d/10-kleidi-tpm.conf")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "kleidi-tpm.socket", "kleidi-tpm@one.service"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "kleidi" in line]) == (0, [])
