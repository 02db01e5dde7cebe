"""What opens another's server or device: no process is told it and nothing prints it, right or wrong."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Exit
from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests.docs.pages import without_settings
from tests.ops.shop import Node
from tests.pkcs11.places import softhsm_module
from tests.secrecy.test_commands import watched
from tests.transit.conftest import secret
from tests.transit.openbao import AppRole, single
from tests.transit.openbao import Node as Server
from tests.usage.authority import Authority
from tests.volume.house import CHECKOUT, KLEIDI
from tests.volume.traced import require_strace

PRINTED = pytest.mark.parametrize("printed", [[], ["-o", "json"]], ids=["text", "json"])


def ended(trace: Path, environment: dict[str, str], *verb: str) -> tuple[int, str]:
    """The exit code, and all that anybody was told: what was printed, every argument and environment."""
    require_strace()
    strace = ("strace", "-f", "-v", "-s", "65536", "-e", "trace=execve", "-o", str(trace))
    done = subprocess.run(
        [*strace, *KLEIDI, *verb],
        cwd=CHECKOUT,
        env={**without_settings(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    started = trace.read_text()
    # The trace is one: it has what the command was called with, and the settings.
    assert verb[0] in started
    assert next(iter(environment)) in started
    return done.returncode, done.stdout + done.stderr + started


def hidden(value: str, told: str) -> bool:
    data = value.encode()
    forms = [value, data.hex(), base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()]
    return not any(form in told for form in forms)


def test_a_secret_in_an_argument_would_be_seen(tmp_path: Path) -> None:
    _, told = ended(tmp_path / "trace", {"HOME": str(tmp_path)}, "key", "check", "shown")
    assert not hidden("shown", told)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("bao")
    with single(directory / "one", Authority(directory / "ca")) as node:
        node.policy("kms", policy(Access()))
        yield node


def by_approle(server: Server, directory: Path, role: AppRole) -> dict[str, str]:
    files = {"ROLE_ID_FILE": ("role-id", role.role_id), "SECRET_ID_FILE": ("secret-id", role.secret_id)}
    places = {name: str(secret(directory / file, text)) for name, (file, text) in files.items()}
    said = {
        "ADDRESSES": server.address,
        "CA_FILE": str(server.authority.certificate),
        "AUTH": "approle",
        **places,
    }
    return {f"KLEIDI_TRANSIT_{name}": value for name, value in said.items()}


@PRINTED
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_transit_check_tells_nobody_what_it_logs_in_with(
    server: Server, tmp_path: Path, printed: list[str], right: bool
) -> None:
    role = server.approle("kms")
    given = role if right else AppRole(role.role_id, secrets.token_hex(16))
    code, told = ended(tmp_path / "trace", by_approle(server, tmp_path, given), "transit", "check", *printed)
    # Whether the mount may make keys of itself is no matter here.
    assert code in (Exit.OK, Exit.DEGRADED) if right else code == faults.TRANSIT_LOGIN.exit
    assert hidden(given.secret_id, told)


@PRINTED
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_transit_rotate_tells_nobody_an_operators_token(
    server: Server, tmp_path: Path, printed: list[str], right: bool
) -> None:
    token = server.token("root") if right else f"s.{secrets.token_hex(16)}"
    environment = by_approle(server, tmp_path, role := server.approle("kms"))
    file = str(secret(tmp_path / "operator", token))
    del environment["KLEIDI_TRANSIT_SECRET_ID_FILE"], environment["KLEIDI_TRANSIT_ROLE_ID_FILE"]
    environment |= {"KLEIDI_TRANSIT_AUTH": "token", "KLEIDI_TRANSIT_TOKEN_FILE": str(tmp_path / "secret-id")}
    code, told = ended(tmp_path / "trace", environment, "transit", "rotate", "--token-file", file, *printed)
    assert (code == Exit.OK) is right
    assert hidden(token, told)
    assert hidden(role.secret_id, told)


def test_transit_policy_needs_no_secret_and_tells_none(server: Server, tmp_path: Path) -> None:
    role = server.approle("kms")
    environment = by_approle(server, tmp_path, role)
    code, told = ended(tmp_path / "trace", environment, "transit", "policy")
    assert code == Exit.OK
    assert hidden(role.secret_id, told)
    assert hidden(role.role_id, told)


@PRINTED
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_slot_at_transit_is_made_and_tried_in_secret(
    server: Server, node: Node, tmp_path: Path, printed: list[str], right: bool
) -> None:
    assert node.kleidi("provision").returncode == Exit.OK
    role = server.approle("kms")
    given = role if right else AppRole(role.role_id, secrets.token_hex(16))
    environment = node.environment | by_approle(server, tmp_path, given)
    for verb in (["add", "--kind", "transit"], ["test", "transit"], ["renew", "transit"], ["list"]):
        code, told = ended(tmp_path / "trace", environment, "slot", *verb, *printed)
        assert code == Exit.OK if right else code in (Exit.OK, Exit.REFUSED, faults.SLOT_TRANSIT_AWAY.exit)
        assert hidden(given.secret_id, told)


def token_of(directory: Path, pin: str, given: str) -> dict[str, str]:
    """A token of SoftHSM's that *pin* opens, and a file that says *given*."""
    (directory / "tokens").mkdir()
    (directory / "softhsm2.conf").write_text(f"directories.tokendir = {directory}/tokens\n")
    environment = {
        "SOFTHSM2_CONF": str(directory / "softhsm2.conf"),
        "KLEIDI_PKCS11_MODULE": str(softhsm_module()),
        "KLEIDI_PKCS11_TOKEN": "label=cluster",
        "KLEIDI_PKCS11_PIN_FILE": str(secret(directory / "pin", given)),
    }
    make = ["softhsm2-util", "--init-token", "--free", "--label", "cluster", "--pin", pin, "--so-pin", pin]
    subprocess.run(make, env={**without_settings(), **environment}, check=True, capture_output=True)
    return environment


@PRINTED
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_hsm_check_tells_nobody_the_pin(tmp_path: Path, printed: list[str], right: bool) -> None:
    pin = secrets.token_hex(8)
    given = pin if right else secrets.token_hex(8)
    code, told = ended(tmp_path / "trace", token_of(tmp_path, pin, given), "hsm", "check", *printed)
    assert code == (Exit.OK if right else faults.PKCS11_PIN.exit)
    assert "softhsm.pkcs11.trial" in told
    assert hidden(given, told)


def test_hsm_check_is_closed_when_it_tries_a_module(node: Node, tmp_path: Path) -> None:
    """Once the one who tries has ended, it asks for the PIN: it was closed before."""
    environment = node.environment | token_of(tmp_path, "12345678", "12345678")
    done = subprocess.run(
        watched(node, "hsm", "check"),
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    [look] = [json.loads(line) for line in (node.root / "looks").read_text().splitlines()]
    assert look["program"] == str(softhsm_module())
    assert look["of us"] == []
