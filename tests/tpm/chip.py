"""A real TPM 2.0: libtpms, as the process swtpm; and what a host or somebody else does to it."""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.tpm import sealed
from appliance.tpm.about import About, about
from appliance.tpm.device import conversation
from appliance.tpm.errors import TpmError
from appliance.tpm.parent import PERSISTENT, TEMPLATE
from appliance.tpm.sealed import Sealed
from appliance.tpm.wire import HEADER, Command, Exchange, Reader, opened, sized, u16, u32

OWNER, LOCKOUT, PLATFORM = 0x40000001, 0x4000000A, 0x4000000C
_PASSWORD = 0x40000009
_SHORT = Path("/dev/shm")  # noqa: S108  a socket's path has 107 bytes
_EVICT, _HIERARCHY, _CLEAR, _CHANGE_AUTH, _EXTEND = 0x120, 0x121, 0x126, 0x129, 0x182
_ALLOCATE, _SHUTDOWN = 0x12B, 0x145


class Chip:
    """*state* is what stays of it without power; *started*: whether the firmware did."""

    def __init__(self, state: Path, *, started: bool = True) -> None:
        self.state = state
        self.started = started
        self._sockets = _SHORT / f"kleidi-tpm-{secrets.token_hex(6)}"
        self.path = self._sockets / "s"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._sockets.mkdir(mode=0o755)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        shutil.rmtree(self._sockets)

    def start(self) -> None:
        # It listens already when it begins: nobody has to wait. tpm2-tools want the second one's name.
        with _listening(self.path) as data, _listening(Path(f"{self.path}.ctrl")) as control:
            self._process = subprocess.Popen(
                [
                    # It ends with us, whatever ends us.
                    *(
                        "setpriv",
                        "--pdeathsig",
                        "KILL",
                        "swtpm",
                        "socket",
                        "--tpm2",
                        "--tpmstate",
                        f"dir={self.state}",
                    ),
                    *("--server", f"type=unixio,fd={data}", "--ctrl", f"type=unixio,fd={control}"),
                    *("--flags", "not-need-init" + ",startup-clear" * self.started),
                ],
                pass_fds=(data, control),
                stderr=subprocess.DEVNULL,
            )

    def cut(self) -> None:
        """Take its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cut_and_start(self) -> None:
        self.cut()
        self.start()

    def talk(self, seconds: float = 10.0) -> AbstractContextManager[Exchange]:
        return conversation(self.path, seconds)

    def about(self) -> About:
        with self.talk() as exchange:
            return about(exchange)

    def seal(self, data: bytes, numbers: tuple[int, ...] = ()) -> Sealed:
        with self.talk() as exchange:
            return sealed.seal(exchange, data, numbers)[0]

    def unseal(self, made: Sealed, numbers: tuple[int, ...] = ()) -> bytes:
        with self.talk() as exchange:
            return sealed.unseal(exchange, made, numbers)

    def extend(self, number: int, digest: bytes = b"") -> None:
        with self.talk() as exchange:
            extend(exchange, number, digest)

    def clear(self) -> None:
        """What firmware does on an owner's order: another seed, so other keys."""
        self._order(_CLEAR, (LOCKOUT,))

    def own(self, password: bytes) -> None:
        """Give the owner a password."""
        self._order(_CHANGE_AUTH, (OWNER,), sized(password))

    def switch_owner_off(self) -> None:
        self._order(_HIERARCHY, (PLATFORM,), u32(OWNER) + b"\x00")

    def allocate_only_sha1(self) -> None:
        """As some firmware is set up; from the next start on."""
        banks = u32(2) + u16(0x04) + b"\x03\xff\xff\xff" + u16(0x0B) + b"\x03\0\0\0"
        self._order(_ALLOCATE, (PLATFORM,), banks)
        self.shut_down()
        self.cut_and_start()

    def shut_down(self) -> None:
        """As an orderly host does ahead of a power cut."""
        with self.talk() as exchange:
            opened(exchange(HEADER.pack(0x8001, 12, _SHUTDOWN) + u16(0)), 0x8001)

    def keep_storage_key(self, template: bytes = TEMPLATE) -> None:
        """As systemd does: a primary of the host's own making, kept at 0x81000001."""
        with self.talk() as exchange:
            made = create_primary(exchange, template)
            ordered(exchange, _EVICT, (OWNER, made), u32(PERSISTENT))
            flush(exchange, made)

    def guess_wrong(self, times: int) -> None:
        """As somebody does who does not know the password of something that counts guesses."""
        with self.talk() as exchange:
            # Sealed bytes as a primary: fixedTPM, fixedParent, userWithAuth, and no noDA.
            template = u16(0x08) + u16(0x0B) + u32(0x52) + sized(b"") + u16(0x10) + sized(b"")
            made = create_primary(exchange, template, sized(b"right") + sized(b"theirs"))
            for _ in range(times):
                try:
                    ordered(exchange, Command.UNSEAL, (made,), password=b"wrong")
                except TpmError:
                    continue
                raise AssertionError("a wrong guess was right")
            flush(exchange, made)

    def _order(self, code: int, handles: tuple[int, ...], parameters: bytes = b"") -> None:
        with self.talk() as exchange:
            ordered(exchange, code, handles, parameters)


def ordered(
    exchange: Exchange, code: int, handles: tuple[int, ...], parameters: bytes = b"", password: bytes = b""
) -> Reader:
    """Any command, authorised for its first handle by *password*."""
    proof = u32(_PASSWORD) + sized(b"") + b"\x01" + sized(password)
    body = b"".join(map(u32, handles)) + u32(len(proof)) + proof + parameters
    return opened(exchange(HEADER.pack(0x8002, HEADER.size + len(body), code) + body), 0x8002)


def create_primary(exchange: Exchange, template: bytes, sensitive: bytes = sized(b"") + sized(b"")) -> int:
    """Left in the chip, unless somebody flushes it."""
    parameters = sized(sensitive) + sized(template) + sized(b"") + u32(0)
    return ordered(exchange, Command.CREATE_PRIMARY, (OWNER,), parameters).number(4)


def extend(exchange: Exchange, number: int, digest: bytes = b"") -> None:
    """As firmware does with what it is about to run; by default something that was never run before."""
    ordered(exchange, _EXTEND, (number,), u32(1) + u16(0x0B) + (digest or os.urandom(32)))


def flush(exchange: Exchange, handle: int) -> None:
    opened(exchange(HEADER.pack(0x8001, 14, Command.FLUSH_CONTEXT) + u32(handle)), 0x8001)


@contextmanager
def _listening(path: Path) -> Iterator[int]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(8)
        yield server.fileno()
