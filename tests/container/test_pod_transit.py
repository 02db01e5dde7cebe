"""The same image and manifest with the key in a Transit server: settings and login beside the seal key."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.patience import eventually
from tests.container.pod import READY_SECONDS, Pod
from tests.transit.node import admitted
from tests.transit.openbao import Node, single
from tests.usage.authority import Authority

_INSIDE = "/etc/kleidi"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("bao")
    with single(directory / "one", Authority(directory / "ca")) as node:
        yield node


@pytest.fixture
def pod(bao: Node, make_pod: Callable[..., Pod], tmp_path: Path) -> Pod:
    pod = make_pod()
    told = {"engine": "transit", **admitted(bao, tmp_path / "login")}
    for name, value in told.items():
        if name.endswith("_file"):
            shutil.copy(value, pod.secrets)
            told[name] = f"{_INSIDE}/{Path(value).name}"
    lines = (f'{name} = "{value}"' for name, value in told.items())
    (pod.secrets / "config.toml").write_text("\n".join(lines) + "\n")
    return pod


def test_it_encrypts_there_and_tells_an_outage(pod: Pod, bao: Node) -> None:
    pod.start()
    key_id = pod.wait_ready()
    sealed = pod.encrypt(b"a seed of the API server's own...")
    assert sealed.key_id == key_id
    assert pod.decrypt(sealed) == b"a seed of the API server's own..."
    checked = pod.kleidi("transit", "check")
    assert checked.returncode in (0, 10), checked.stdout
    assert "failed" not in checked.stdout
    bao.seal()
    pod.wait_reason("E-TRANSIT-SEALED")
    assert pod.health()[1] == key_id
    bao.unseal()
    bao.wait_active()
    eventually(lambda: pod.health() == ("ok", key_id), within=READY_SECONDS, explain=pod.log)
    pod.restart()
    assert pod.wait_ready() == key_id
    assert pod.decrypt(sealed) == b"a seed of the API server's own..."


def test_the_image_can_speak_to_a_device_of_any_vendor(pod: Pod) -> None:
    pod.start()
    pod.wait_ready()
    checked = pod.kleidi("hsm", "check")
    assert "E-PKCS11-UNSET" in checked.stdout + checked.stderr
    loaded = pod.engine.call("exec", pod.container, "python", "-c", "import softhsm.pkcs11.binding")
    assert loaded.returncode == 0, loaded.stderr
