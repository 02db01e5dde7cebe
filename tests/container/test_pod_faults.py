"""What an operator gets wrong: the pod stays up, says what it is, and goes on once it is mended."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance.manifests.description import User
from tests.conformance.patience import eventually
from tests.container.engine import Engine
from tests.container.pod import IMAGE, OWN_USER, READY_SECONDS, Pod, mount

MAY = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
    "--network",
    "none",
)


def test_a_volume_that_is_missing_starts_no_pod(pod: Pod) -> None:
    pod.volume.rmdir()

    refused = pod.try_start()

    assert refused.returncode != 0
    assert str(pod.volume) in refused.stderr
    assert not pod.volume.exists()
    assert not list(pod.secrets.iterdir())


def test_an_emptied_volume_never_gets_a_second_key(pod: Pod) -> None:
    pod.start()
    key_id = pod.wait_ready()
    pod.delete()
    kept = pod.root / "kept"
    shutil.copytree(pod.volume, kept)
    # What `type: DirectoryOrCreate` does when the disk behind the path is not mounted.
    _empty(pod.volume)
    pod.start()

    pod.wait_reason("E-VOLUME-EMPTIED")
    assert not list(pod.volume.glob("generation-*"))

    shutil.copytree(kept, pod.volume, dirs_exist_ok=True)
    assert pod.wait_ready() == key_id


def test_a_volume_of_somebody_elses_is_named_and_mended(make_pod: Callable[..., Pod]) -> None:
    pod = make_pod(user=User.NONROOT)
    os.chown(pod.volume, 0, 0)
    pod.start()

    pod.wait_reason("E-VOLUME-UNREADABLE")

    os.chown(pod.volume, OWN_USER, OWN_USER)
    pod.wait_ready()


def test_two_pods_on_one_volume_are_one_too_many(make_pod: Callable[..., Pod]) -> None:
    first, second = make_pod(), make_pod()
    second.volume, second.secrets = first.volume, first.secrets
    first.start()
    key_id = first.wait_ready()
    second.start()

    second.wait_reason("E-VOLUME-LOCKED")
    assert first.wait_ready() == key_id

    first.stop()
    assert second.wait_ready() == key_id


def test_a_read_only_volume_is_named(pod: Pod) -> None:
    mount(pod.volume, "ro")
    pod.start()

    pod.wait_reason("E-VOLUME-READ-ONLY")

    # A running container keeps the flags that its mount had at the start (mount_namespaces(7)).
    pod.delete()
    mount(pod.volume, "remount,rw")
    pod.start()
    pod.wait_ready()


def test_a_full_volume_is_named_and_mended(pod: Pod) -> None:
    mount(pod.volume, "size=4k")
    pod.start()

    pod.wait_logged("E-VOLUME-FULL")

    mount(pod.volume, "remount,size=1m")
    pod.wait_ready()


def test_too_little_memory_for_the_token_is_named_and_mended(pod: Pod) -> None:
    pod.start()
    key_id = pod.wait_ready()
    pod.delete()
    mount(pod.token, "remount,size=4k")
    pod.start()

    pod.wait_reason("E-MEMORY-FULL")

    mount(pod.token, "remount,size=16m")
    assert pod.wait_ready() == key_id


def test_no_token_is_opened_on_a_disk(pod: Pod) -> None:
    pod.start()
    key_id = pod.wait_ready()
    pod.delete()
    in_memory, pod.token = pod.token, pod.root / "on-disk"
    pod.token.mkdir()
    pod.start()

    pod.wait_reason("E-MEMORY-UNSAFE")
    assert not list(pod.token.iterdir())

    pod.token = in_memory
    pod.restart()
    assert pod.wait_ready() == key_id


def test_no_token_is_made_on_a_disk(pod: Pod) -> None:
    pod.token = pod.root / "on-disk"
    pod.token.mkdir()
    pod.start()

    pod.wait_reason("E-MEMORY-UNSAFE")
    # Only what the provisioner tells the server: an id and a path.
    assert [path.name for path in pod.token.rglob("*") if path.is_file()] == [".refusal.json"]
    assert not list(pod.volume.glob("generation-*"))


def test_a_socket_directory_of_somebody_elses_is_named_and_mended(make_pod: Callable[..., Pod]) -> None:
    pod = make_pod(user=User.NONROOT)
    os.chown(pod.run, 0, 0)
    pod.run.chmod(0o755)
    pod.start()

    pod.wait_logged("E-SOCKET-DIRECTORY")

    pod.prepare(pod.run)
    pod.wait_ready()


def test_without_a_socket_directory_the_log_says_so(engine: Engine) -> None:
    container = engine.run("run", "--detach", *MAY, IMAGE)

    def log() -> str:
        done = engine.call("logs", container)
        return done.stdout + done.stderr

    try:
        eventually(lambda: "E-SOCKET-DIRECTORY" in log(), within=READY_SECONDS, explain=log)
        assert engine.run("inspect", "--format", "{{.State.Running}}", container) == "true"
    finally:
        engine.run("rm", "--force", "--time", "0", container)


def test_a_setting_that_does_not_exist_ends_the_container(engine: Engine) -> None:
    done = engine.call("run", "--rm", *MAY, "--env", "KLEIDI_VOLUME=/x", IMAGE)

    assert done.returncode == 2
    assert "KLEIDI_VOLUME is not a setting" in done.stdout + done.stderr


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
