"""A pod's life, under the security context of its manifest, in both of its variants."""

import time
from collections.abc import Callable

import pytest

from appliance.manifests.description import User
from tests.conformance.patience import eventually
from tests.container.pod import GRACE_SECONDS, OWN_USER, READY_SECONDS, Pod

# As the first boot goes on: while the programs import, while the key is made, when all is done.
MOMENTS = (0.0, 0.2, 0.4, 0.6, 1.2)


@pytest.fixture(params=list(User))
def pod(request: pytest.FixtureRequest, make_pod: Callable[..., Pod]) -> Pod:
    pod = make_pod(user=request.param)
    pod.start()
    return pod


def test_the_first_boot_makes_the_key_and_serves(pod: Pod) -> None:
    key_id = pod.wait_ready()

    sealed = pod.encrypt(b"a seed of the API server's own...")
    assert sealed.key_id == key_id
    assert pod.decrypt(sealed) == b"a seed of the API server's own..."
    assert pod.kleidi("status").returncode == 0
    probes = {name: pod.probe(name) for name in pod.probes()}
    assert {code for code, _ in probes.values()} == {0}, probes
    assert len(list(pod.volume.glob("generation-*.seal"))) == 1


def test_it_runs_as_the_manifest_says(pod: Pod) -> None:
    pod.wait_ready()
    expected = {"Uid": str(0 if pod.user is User.ROOT else OWN_USER)}
    expected |= {
        "CapEff": "0" * 16,
        "CapPrm": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }

    pids = pod.engine.run("top", pod.container, "hpid").split()[1:]
    assert len(pids) >= 2
    for pid in pids:
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123  as short as it can be
            fields = dict(line.split(":", 1) for line in file)
        assert {name: fields[name].split()[0] for name in expected} == expected
    # The root is read-only, and nothing had to be written to it: not to /tmp either.
    write = "import pathlib; pathlib.Path('/tmp/x').touch()"
    done = pod.engine.call("exec", pod.container, "python", "-c", write)
    assert "Read-only file system" in done.stderr


def test_a_new_pod_on_the_volume_serves_the_same_key(pod: Pod) -> None:
    key_id = pod.wait_ready()
    sealed = pod.encrypt(b"before")

    pod.restart()

    assert pod.wait_ready() == key_id
    assert pod.decrypt(sealed) == b"before"


def test_it_ends_by_itself_within_the_grace_period(pod: Pod) -> None:
    pod.wait_ready()

    code, seconds = pod.stop()

    assert code == 0
    assert seconds < GRACE_SECONDS / 2
    assert not pod.socket.exists()
    assert not list(pod.token.iterdir())


def test_a_killed_pod_comes_back_with_its_key(pod: Pod) -> None:
    key_id = pod.wait_ready()
    sealed = pod.encrypt(b"before")

    pod.kill()

    eventually(lambda: pod.log().count("OPERATIONAL") > 1, within=READY_SECONDS, explain=pod.log)
    assert pod.wait_ready() == key_id
    assert pod.decrypt(sealed) == b"before"


def test_a_killed_server_comes_back_with_its_key(pod: Pod) -> None:
    key_id = pod.wait_ready()
    sealed = pod.encrypt(b"before")

    pod.kill_server()

    eventually(lambda: pod.log().count("OPERATIONAL") > 1, within=READY_SECONDS, explain=pod.log)
    assert pod.wait_ready() == key_id
    assert pod.decrypt(sealed) == b"before"


def test_an_end_during_the_first_boot_costs_nothing(make_pod: Callable[..., Pod]) -> None:
    pod = make_pod()
    seen = set()
    for moment in MOMENTS:
        pod.start()
        pod.wait_listens_to_signals()
        time.sleep(moment)
        code, seconds = pod.stop()
        assert code == 0, (moment, pod.log())
        assert seconds < GRACE_SECONDS / 2
        seen |= {path.read_bytes() for path in pod.volume.glob("generation-*.seal")}
        pod.delete()

    pod.start()
    pod.wait_ready()
    generations = list(pod.volume.glob("generation-*.seal"))
    assert len(generations) == 1
    assert seen <= {generations[0].read_bytes()}
