"""The real verbs, with a neighbour who looks at the very moment when a secret is handed on."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.age.key_pairs import Identities
from tests.ops.ready import adoption
from tests.ops.shop import Node
from tests.secrecy.neighbour import humble, seen
from tests.volume.house import CHECKOUT, KLEIDI

FORGE, SURVEY, TRIAL = "softhsm.forge", "softhsm.survey", "softhsm.trial"


def watched(node: Node, *verb: str) -> list[str]:
    return humble(sys.executable, "-m", "tests.secrecy.watched", str(node.root / "looks"), *verb)


def looks(node: Node) -> list[str]:
    """Which programs were told secrets since the last time; nothing of any may have been seen."""
    file = node.root / "looks"
    found = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    assert all(look["of it"] == look["of us"] == [] for look in found), found
    return [look["program"] for look in found]


def done(node: Node, *verb: str) -> list[str]:
    ended = node.run(*watched(node, *verb))
    assert ended.returncode == 0, ended.stderr
    return looks(node)


def test_no_child_of_any_verb_can_be_looked_into(node: Node, tmp_path: Path) -> None:
    assert done(node, "provision") == [TRIAL]
    assert done(node, "key", "rotate") == [FORGE, TRIAL, TRIAL]
    assert done(node, *adoption(tmp_path)) == [SURVEY, TRIAL]
    identity = Identities.generate()
    (tmp_path / "identity").write_text(identity.secrets[0])
    bundle = str(tmp_path / "bundle.age")
    created = node.kleidi("backup", "create", bundle, "--to", identity.recipients.names[0])
    assert created.returncode == 0, created.stderr
    assert done(node, "backup", "verify", bundle, "--identity", str(tmp_path / "identity")) == [TRIAL]


def test_neither_the_server_nor_its_children_can_be_looked_into(node: Node) -> None:
    assert node.kleidi("provision").returncode == 0
    for name in ("run", "admin"):
        (node.memory / name).mkdir(mode=0o700)
    places = {"SOCKET": f"{node.memory}/run/kms.sock", "ADMIN_SOCKET": f"{node.memory}/admin/admin.sock"}
    environment = node.environment | {f"KLEIDI_{name}": value for name, value in places.items()}

    def kleidi(*verb: str) -> subprocess.CompletedProcess[str]:
        command = [*KLEIDI, *verb]
        return subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True, timeout=120
        )

    with subprocess.Popen(watched(node, "serve"), cwd=CHECKOUT, env=environment) as server:
        try:
            kleidi("status", "--wait", "60")
            kleidi("key", "rotate")
            assert looks(node) == [FORGE, TRIAL, TRIAL]
            assert seen(server.pid) == []
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0


def opened_by(process: subprocess.Popen[bytes], pipe: Path) -> int:
    """The other end of *pipe*, once the process has opened it to read."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or process.poll() is not None:
                raise


@pytest.mark.parametrize(
    "verb",
    [
        "adopt DIRECTORY --pin-file PIPE",
        "backup create --passphrase-file PIPE",
        "backup verify FILE --identity PIPE",
        "backup restore FILE --passphrase-file PIPE",
        "backup verify PIPE",
        "slot add --kind passphrase --passphrase-file PIPE",
        "slot add --kind recovery --identity PIPE",
        "unseal --passphrase-file PIPE",
        "unseal --identity PIPE",
        "node join PIPE",
        "node join --invite PIPE",
        # What these log in with is no pipe: they are met at whom they may trust, the second with its token.
        "transit check",
        "transit rotate --token-file FILE",
    ],
)
def test_a_command_that_is_about_to_read_a_secret_is_closed(node: Node, tmp_path: Path, verb: str) -> None:
    pipe, file, directory = tmp_path / "pipe", tmp_path / "file", tmp_path / "tokens"
    os.mkfifo(pipe)
    directory.mkdir()
    for path in (file, directory / "token.object"):
        path.write_bytes(b"x")
        path.chmod(0o600)
    places = {"PIPE": str(pipe), "FILE": str(file), "DIRECTORY": str(directory)}
    command = humble(*KLEIDI, *(places.get(word, word) for word in verb.split()))
    environment = node.environment | {"KLEIDI_PROVISION": "never"}  # a node that makes keys takes none
    transit = {"ADDRESSES": "https://127.0.0.1:1", "CA_FILE": str(pipe), "TOKEN_FILE": str(file)}
    environment |= {f"KLEIDI_TRANSIT_{name}": value for name, value in transit.items()}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE) as process:
        try:
            writer = opened_by(process, pipe)
            assert seen(process.pid) == []
        finally:
            process.kill()
        os.close(writer)
