"""Both programs under the real supervisord: what an operator, a kill and a power cycle do to them."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from appliance.engines.softhsm.image import TokenImage
from appliance.keys.engine import SOFTHSM
from appliance.volume.payload import Payload
from appliance.volume.seal import unseal
from appliance.volume.slot import SlotKey
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance import patience
from tests.rig import CONFIG, Appliance, talkative


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path) as appliance:
        yield appliance


def generations(appliance: Appliance) -> list[str]:
    return sorted(path.name for path in appliance.volume.glob("generation-*"))


def eventually(
    happened: Callable[[], object], appliance: Appliance, within: float = 30, pause: float = 0.05
) -> None:
    patience.eventually(happened, within=within, explain=appliance.log, pause=pause)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def reason(appliance: Appliance) -> str:
    """What Status complains of: a word in healthz or the gRPC error itself."""
    try:
        return appliance.status().healthz
    except grpc.RpcError as error:
        return str(error)


def round_trip(appliance: Appliance) -> None:
    with grpc.insecure_channel(f"unix:{appliance.socket}") as channel:
        kms = api_pb2_grpc.KeyManagementServiceStub(channel)
        sealed = kms.Encrypt(api_pb2.EncryptRequest(plaintext=b"seed" * 8, uid="1"), timeout=3)
        request = api_pb2.DecryptRequest(ciphertext=sealed.ciphertext, key_id=sealed.key_id, uid="2")
        assert kms.Decrypt(request, timeout=3).plaintext == b"seed" * 8


def test_first_boot_and_reboots_serve_the_same_key(appliance: Appliance) -> None:
    appliance.start()
    key_id = appliance.wait_ready()
    round_trip(appliance)
    assert generations(appliance) == ["generation-00000001.seal"]
    assert appliance.stop() == 0
    appliance.start()
    assert appliance.wait_ready() == key_id
    appliance.reboot()
    assert appliance.wait_ready() == key_id
    round_trip(appliance)
    assert generations(appliance) == ["generation-00000001.seal"]


@pytest.mark.parametrize("later", [False, True], ids=["right after its start", "after a while"])
def test_a_killed_server_comes_back_with_its_key_and_its_socket(tmp_path: Path, later: bool) -> None:
    with Appliance(tmp_path, talkative(tmp_path)) as appliance:
        appliance.start()
        key_id = appliance.wait_ready()
        if later:
            eventually(lambda: appliance.state("kms") == "RUNNING", appliance)
        killed = appliance.pid("kms")
        appliance.kill("kms")
        eventually(lambda: appliance.pid("kms") not in {0, killed}, appliance)
        assert appliance.wait_ready() == key_id
        round_trip(appliance)


@pytest.mark.parametrize(
    "moment",
    [
        "",
        "volume/lock",
        "volume/seal.key",
        "memory/memory/*/new",
        "volume/audit.jsonl",
        "memory/memory/*/softhsm/trial",
        "volume/generation-*.seal",
        "etc/anchor.json",
    ],
)
def test_a_killed_provisioner_ends_with_exactly_one_lineage(appliance: Appliance, moment: str) -> None:
    """Killed as soon as there is what it makes at that *moment* of a first boot."""
    appliance.start()
    eventually(lambda: appliance.pid("provision"), appliance, pause=0)
    pid = appliance.pid("provision")
    place, _, pattern = moment.partition("/")
    within = appliance.memory if place == "memory" else appliance.root / place
    if moment:
        eventually(lambda: list(within.glob(pattern)), appliance, pause=0)
    with contextlib.suppress(ProcessLookupError):  # the last steps are quick
        os.kill(pid, signal.SIGKILL)
    key_id = appliance.wait_ready()
    assert generations(appliance) == ["generation-00000001.seal"]
    appliance.reboot()
    assert appliance.wait_ready() == key_id


def test_nothing_outlives_a_killed_supervisord(appliance: Appliance) -> None:
    appliance.start()
    key_id = appliance.wait_ready()
    appliance.lose_supervisord()
    eventually(lambda: appliance.processes() == [], appliance)
    assert not appliance.socket.exists()  # as after any other stop
    appliance.start()
    assert appliance.wait_ready() == key_id


def test_a_start_right_after_a_kill_of_supervisord_succeeds(appliance: Appliance) -> None:
    appliance.start()
    key_id = appliance.wait_ready()
    left = appliance.pid("kms")
    appliance.lose_supervisord()
    appliance.start()
    eventually(lambda: ended(left), appliance)
    assert appliance.wait_ready() == key_id
    round_trip(appliance)


def test_a_program_that_starts_as_its_supervisord_dies_ends_too(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with Appliance(tmp_path) as appliance:
        done = appliance.run("serve", env={"SUPERVISOR_PID": str(gone.pid)})
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


def test_a_stop_is_quick_clean_and_successful(appliance: Appliance) -> None:
    appliance.start()
    appliance.wait_ready()
    began = time.monotonic()
    assert appliance.stop() == 0
    assert time.monotonic() - began < 8
    assert not appliance.socket.exists()
    assert not appliance.admin.exists()
    assert not appliance.control.exists()
    assert "Traceback" not in appliance.log()


def test_a_stop_during_the_first_boot_succeeds_too(appliance: Appliance) -> None:
    appliance.start()
    eventually((appliance.volume / "lock").exists, appliance, pause=0)
    assert appliance.stop() == 0
    assert appliance.processes() == []
    appliance.start()
    appliance.wait_ready()
    assert generations(appliance) == ["generation-00000001.seal"]


def test_a_volume_that_is_not_ours_is_named_and_heals_without_a_restart(appliance: Appliance) -> None:
    appliance.volume.mkdir()
    stranger = appliance.volume / "somebody-elses.db"
    stranger.touch()
    appliance.start()
    eventually(lambda: "E-VOLUME-FOREIGN" in reason(appliance), appliance)
    server, supervisord = appliance.pid("kms"), appliance.processes()[0]
    assert generations(appliance) == []
    stranger.unlink()
    appliance.wait_ready()
    assert appliance.pid("kms") == server
    assert appliance.processes()[0] == supervisord


def test_never_makes_a_key_where_the_policy_says_never(tmp_path: Path) -> None:
    with Appliance(tmp_path, talkative(tmp_path), provision="never") as appliance:
        appliance.start()
        eventually(lambda: "E-VOLUME-EMPTY" in reason(appliance), appliance)
        eventually(lambda: appliance.state("provision") == "EXITED", appliance)
        eventually(lambda: appliance.state("kms") == "RUNNING", appliance)
        assert generations(appliance) == []
        assert appliance.pid("kms")
        assert appliance.stop() == 0


def test_a_name_that_is_no_setting_ends_the_container_with_2(tmp_path: Path) -> None:
    with Appliance(tmp_path, volume_dri="/somewhere") as appliance:
        appliance.start()
        assert appliance.wait_end() == 2
        lines = [line for line in appliance.log().splitlines() if "KLEIDI_VOLUME_DRI" in line]
        assert lines
        assert len(set(lines)) == 1
        assert "(configuration); see the log" in appliance.log()
        assert "Traceback" not in appliance.log()
        assert appliance.processes() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_dir", "/dev/shm/a=b"),  # noqa: S108
        ("destroy_wait_hours", "inf"),
        ("socket_group", "99999999999"),
    ],
)
def test_a_value_that_some_layer_cannot_take_ends_the_container_with_2(
    name: str, value: str, tmp_path: Path
) -> None:
    with Appliance(tmp_path, CONFIG, **{name: value}) as appliance:
        appliance.start()
        assert appliance.wait_end() == 2
        for verb in ("provision", "serve"):
            done = appliance.run(verb)
            assert (done.returncode, done.stdout) == (2, "")
            (line,) = done.stderr.splitlines()
            assert "E-CONFIG: the configuration cannot work" in line
            assert f"KLEIDI_{name.upper()}: " in line
        assert "Traceback" not in appliance.log()


def test_every_line_of_the_log_is_json_and_printed_once(tmp_path: Path) -> None:
    with Appliance(tmp_path, log_format="json") as appliance:
        appliance.start()
        appliance.wait_ready()
        appliance.stop()
        lines = appliance.log().splitlines()
    assert [json.loads(line)["msg"] for line in lines]
    assert sorted(set(lines)) == sorted(lines)


def test_serves_on_when_nobody_reads_its_log_any_more(appliance: Appliance) -> None:
    appliance.start()
    appliance.wait_ready()
    assert appliance.stop() == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.boot", "--config", str(CONFIG)],
        env=appliance.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        eventually(lambda: reason(appliance) == "ok", appliance)
        for _ in range(10):  # each writes lines
            round_trip(appliance)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def test_no_secret_is_in_an_argument_an_environment_or_the_log(appliance: Appliance) -> None:
    appliance.start()
    seen = b""
    deadline = time.monotonic() + 60
    while reason(appliance) != "ok":
        assert time.monotonic() < deadline, appliance.log()
        seen += said_by_processes(appliance)
    seen += said_by_processes(appliance)
    seen += appliance.log().encode()
    key = (appliance.volume / "seal.key").read_bytes()
    sealed = (appliance.volume / "generation-00000001.seal").read_bytes()
    payload = Payload.from_bytes(unseal(sealed, [SlotKey("volume", key)])[1])
    token = TokenImage.from_state(payload.state(SOFTHSM))
    assert b"appliance.boot" in seen
    assert b"serve" in seen
    for secret in (key, token.user_pin.encode()):
        assert len(secret) >= 32
        for form in (
            secret,
            secret.hex().encode(),
            base64.b64encode(secret),
            base64.urlsafe_b64encode(secret),
        ):
            assert form not in seen


def said_by_processes(appliance: Appliance) -> bytes:
    said = b""
    for pid in appliance.processes():
        for name in ("cmdline", "environ"):
            try:
                said += Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:  # it has just ended
                continue
    return said
