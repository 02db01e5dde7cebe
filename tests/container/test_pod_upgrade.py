"""Another image in the place of this one, while the API server writes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.conformance.apiserver import ApiServer
from tests.conformance.encryption import Kms
from tests.conformance.stage import Stage
from tests.container.engine import Engine
from tests.container.pod import IMAGE, Pod

NEXT = "localhost/kleidi-next:test"
PAUSE_SECONDS = 0.05
OVERLAP_SECONDS = 2
# After an absence the API server's gRPC waits out its back-off before it dials again (tests/conformance).
RECOVERY_SECONDS = 180


def test_an_upgrade_costs_the_api_server_no_write(stage: Stage, engine: Engine, pod: Pod) -> None:
    engine.run("build", "--tag", NEXT, "--file", "-", stdin=f"FROM {IMAGE}\nLABEL next=yes\n")
    pod.start()
    key_id = pod.wait_ready()
    server = stage.apiserver(Kms("kleidi", pod.socket))
    enough = threading.Event()

    with ThreadPoolExecutor() as pool:
        worker = pool.submit(_work_until, enough, server)
        try:
            time.sleep(OVERLAP_SECONDS)
            pod.image = NEXT
            gone = time.monotonic()
            pod.restart()
            assert pod.wait_ready() == key_id
            print(f"\nnobody answered for {time.monotonic() - gone:.1f} s")
            time.sleep(OVERLAP_SECONDS)
        finally:
            enough.set()
        written = worker.result()

    assert pod.engine.run("inspect", "--format", "{{.ImageName}}", pod.container) == NEXT
    assert len(written) > OVERLAP_SECONDS
    server.wait_ready(RECOVERY_SECONDS)
    assert server.secrets() == written
    assert stage.apiserver(Kms("kleidi", pod.socket)).secrets() == written


def _work_until(enough: threading.Event, server: ApiServer) -> dict[str, str]:
    """Write and read back; the first error ends it."""
    written: dict[str, str] = {}
    while not enough.wait(PAUSE_SECONDS):
        name = f"secret-{len(written)}"
        server.create_secret(name, name)
        assert server.secret(name) == name
        written[name] = name
    return written
