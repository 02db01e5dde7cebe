"""The server of a scene, in a thread of the test's own process so that the engine can be steered."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Unpack

from appliance.client.admin import ask
from appliance.client.report import Report
from appliance.service.server import serve
from tests.service.client import PATIENCE_SECONDS
from tests.service.scene import Options, Scene


def until(true: Callable[[], object], what: str) -> None:
    """Wait, as long as a busy machine may need."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.005)


class _Loop(asyncio.SelectorEventLoop):
    """Signals reach only a process's main thread, so a test calls their handlers itself."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: dict[int, Callable[[], object]] = {}

    def add_signal_handler(self, sig: int, callback: Callable[[], object]) -> None:  # type: ignore[override]
        self.handlers[sig] = callback


class Running:
    """Starts at once; *options* are Scene.assemble's."""

    def __init__(self, scene: Scene, **options: Unpack[Options]) -> None:
        self.scene = scene
        self._loop = _Loop()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(options,), name="server")
        self._thread.start()
        until(lambda: self._listens() or not self._thread.is_alive(), "the server listens")

    def _listens(self) -> bool:
        # Without its directory the one socket is waited for, and the other answers meanwhile.
        sockets = [path for path in (self.scene.socket, self.scene.admin) if path.parent.exists()]
        return all(path.exists() for path in sockets)

    def _run(self, options: Options) -> None:
        async def main() -> None:
            await serve(*self.scene.assemble(**options))

        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(main())
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            self._failure = error

    def terminate(self) -> None:
        """As SIGTERM does; comes back at once."""
        self._loop.call_soon_threadsafe(self._loop.handlers[signal.SIGTERM])

    def join(self) -> None:
        """Wait for the end; raise what the server raised."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the server did not end"
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def stop(self) -> None:
        self.scene.engine.release()
        if self._thread.is_alive():
            self.terminate()
        self.join()

    def report(self) -> Report:
        return ask(self.scene.admin)

    def wait_for(self, state: str, reason_id: str = "") -> None:
        def arrived() -> bool:
            report = self.report()
            return (report.state, report.reason_id) == (state, reason_id)

        until(arrived, f"{state} {reason_id}")
