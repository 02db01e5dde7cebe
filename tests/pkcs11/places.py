"""Tokens to test on: each the real module of somebody, set up from nothing, or the fake."""

import os
import platform
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.pkcs11.options import Pkcs11Options
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.token import Wanted
from tests.pkcs11 import fake_token
from tests.pkcs11.fake_token import FakeToken

SECONDS = 20.0


class Secret:
    """A `Pin` that a test can change."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.reads = 0

    def read(self) -> bytearray:
        self.reads += 1
        return bytearray(self.value)

    def mark(self) -> object:
        return self.value


@dataclass(frozen=True)
class Place:
    """*options* is None for what is no file: the fake. *environment* is what the module reads."""

    name: str
    options: Pkcs11Options | None
    fake: FakeToken | None = None

    def device(self, *, lanes: int = 4, seconds: float = SECONDS) -> Device:
        if self.fake is not None:
            pin = Secret(fake_token.PIN)
            wanted = Wanted(label=fake_token.LABEL)
            return Device(self.fake.module(), wanted, pin, lanes=lanes, seconds=seconds)
        assert self.options is not None
        assert self.options.pin_file is not None
        module = Module.at(self.options.module, self.options.parameters)
        pin = Secret(self.options.pin_file.read_bytes().strip())
        wanted = Wanted(self.options.serial, self.options.label)
        return Device(module, wanted, pin, lanes=lanes, seconds=seconds)


def pin_file(directory: Path, pin: str) -> Path:
    path = directory / "pin"
    path.write_text(f"{pin}\n")
    path.chmod(0o400)
    return path


def options(module: Path, label: str, pin: Path, parameters: str = "") -> Pkcs11Options:
    return Pkcs11Options(module, "", label, pin, parameters, lanes=4, call_seconds=SECONDS)


def softhsm_module() -> Path:
    """The installed library."""
    names = (f"/usr/lib/{platform.machine()}-linux-gnu/softhsm", "/usr/lib/softhsm", "/usr/lib64/softhsm")
    return next(path for name in names if (path := Path(name) / "libsofthsm2.so").exists())


@contextmanager
def softhsm(directory: Path) -> Iterator[Place]:
    """A copy of the library, so that its state is not that of the one other tests of this process load."""
    module = Path(shutil.copy(softhsm_module(), directory / "libsofthsm2.so"))
    module.chmod(0o644)
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\n")
    pin = secrets.token_hex(8)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    try:
        subprocess.run(
            [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                "kms",
                "--pin",
                pin,
                "--so-pin",
                "12345678",
            ],
            check=True,
            capture_output=True,
        )
        yield Place("softhsm", options(module, "kms", pin_file(directory, pin)))
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before


def nss_module() -> Path:
    names = (
        f"/usr/lib/{platform.machine()}-linux-gnu",
        f"/usr/lib/{platform.machine()}-linux-gnu/nss",
        "/usr/lib64",
    )
    return next(path for name in names if (path := Path(name) / "libsoftokn3.so").exists())


def nss(directory: Path) -> Place:
    """Its second slot; the first is for keys that are not kept."""
    pin = pin_file(directory, secrets.token_hex(8))
    (directory / "nss").mkdir()
    subprocess.run(
        ["certutil", "-N", "-d", f"sql:{directory}/nss", "-f", str(pin)], check=True, capture_output=True
    )
    parameters = f"configdir='sql:{directory}/nss' certPrefix='' keyPrefix='' secmod='secmod.db'"
    return Place("nss", options(nss_module(), "NSS Certificate DB", pin, parameters))


class Server:
    """`p11-kit server` on a Unix socket, with another place's module behind it."""

    def __init__(self, directory: Path, behind: Pkcs11Options) -> None:
        self._command = ["p11-kit", "server", "-f", "-n", str(directory / "socket")]
        self._command += ["--provider", str(behind.module), f"pkcs11:token={behind.label}"]
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"unix:path={directory}/socket"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        # It tells its address once it listens.
        assert self.address.encode() in self._process.stdout.readline()

    def stop(self) -> None:
        """As when its host's unit is started again: no connection outlives it."""
        assert self._process is not None
        assert self._process.stdout is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for process in (*map(int, children), self._process.pid):
            os.kill(process, signal.SIGKILL)
        self._process.wait(20)
        self._process.stdout.close()


@contextmanager
def served(directory: Path) -> Iterator[tuple[Place, Server]]:
    """SoftHSM behind p11-kit: the module of this process is a client, and knows of nothing else."""
    with softhsm(directory) as behind:
        assert behind.options is not None
        server = Server(directory, behind.options)
        server.start()
        os.environ["P11_KIT_SERVER_ADDRESS"] = server.address
        try:
            yield Place("p11-kit", replace(behind.options, module=client_module())), server
        finally:
            server.stop()
            del os.environ["P11_KIT_SERVER_ADDRESS"]


def client_module() -> Path:
    return Path(f"/usr/lib/{platform.machine()}-linux-gnu/pkcs11/p11-kit-client.so")


def given() -> Place | None:
    """What KLEIDI_TEST_PKCS11=path:label:pinfile names."""
    named = os.environ.get("KLEIDI_TEST_PKCS11")
    if not named:
        return None
    module, label, pin = named.split(":")
    return Place("given", options(Path(module), label, Path(pin)))
