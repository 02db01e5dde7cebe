"""A node's files below a directory of their own, and what is done there: by processes of their own."""

import contextlib
import json
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import grpc

from appliance.keys.key_id import lineage
from appliance.volume import memory
from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance.patience import eventually
from tests.faults import acts
from tests.faults.look import ANNOUNCED, KEPT_KEY, Seen, announced, look
from tests.faults.warm import Act, Ended, run, started
from tests.volume.house import House

READY_SECONDS = 60.0
_TIME = re.compile(r"-\d{8}T\d{6}Z(-[0-9a-f]{4})?")
# The socket is there a moment later, and gRPC would wait a second for it.
_AT_ONCE = [(f"grpc.{which}_reconnect_backoff_ms", 50) for which in ("initial", "min", "max")]


@dataclass(frozen=True)
class Site(House):
    """No server runs here but in serves(), and a key may be destroyed at once; *settings* may name {root}."""

    settings: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "SOCKET": f"{self.memory}/run/kms.sock",
            "ADMIN_SOCKET": f"{self.memory}/admin/admin.sock",
            "DESTROY_WAIT_HOURS": "0",
        }
        named = {name: self._told(value) for name, value in self.settings}
        return super().environment | {f"KLEIDI_{name}": value for name, value in (ours | named).items()}

    def build(self) -> Self:
        """With an empty root of a node, for an installation below it."""
        (self.root / "node").mkdir(parents=True)
        return super().build()

    def copied(self, name: str) -> "Site":
        """The same files elsewhere; its memory is empty."""
        root = self.root.with_name(f"{self.root.name}.{name}")
        shutil.copytree(self.root, root, symlinks=True)
        return Site(root, self.memory.with_name(secrets.token_hex(4)), self.settings)

    def clear(self) -> None:
        shutil.rmtree(self.root)

    def filled(self, command: str) -> tuple[str, ...]:
        """The words of *command*, with what only this site knows in the place of its {names}."""
        return tuple(shlex.split(self._told(command)))

    def _told(self, text: str) -> str:
        names = {f"v{number}": each.key_id for number, each in enumerate(announced(self.root), 1)}
        names["lineage"] = lineage(names.get("v1", ""))
        recipient = self.root / "recipient"
        names["recipient"] = recipient.read_text() if recipient.exists() else ""
        return text.format(root=self.root, **names)

    def does(self, act: Act, command: str = "", tracer: tuple[str, ...] = ()) -> Ended:
        return run(act, self.filled(command), self.environment, tracer)

    def must(self, command: str = "", act: Act = acts.kleidi) -> str:
        ended = self.does(act, command)
        assert ended.well, f"{command}: {ended}"
        return ended.out

    def announce(self) -> None:
        """Let the primary key encrypt something, if it has not yet."""
        known = [[each.key_id, each.envelope.hex()] for each in announced(self.root)]
        key_id, envelope = json.loads(self.must(act=acts.wrap))
        if key_id not in [name for name, _ in known]:
            (self.root / ANNOUNCED).write_text(json.dumps([*known, [key_id, envelope]]))

    def look(self) -> Seen:
        return Seen(**json.loads(self.must("{root}", look)))

    def tree(self) -> dict[str, str]:
        """Name, without its number and time, and mode of each file; of an installation's, the content too."""
        found = {}
        for path in self.root.rglob("*"):
            name, status = str(path.relative_to(self.root)), path.lstat()
            written = path.is_file() and name.startswith("node/") and path.name != "seal.key"
            content = sha256(path.read_bytes()).hexdigest() if written else ""
            if not (path.match("generation-*.seal") or path.match(".tmp-*")):
                found[_TIME.sub("", name)] = f"{status.st_mode:o} {status.st_uid} {content}"
        return found

    def stamps(self) -> dict[str, tuple[int, int, int]]:
        """What shows that somebody wrote: inode, and times of change of content and attributes."""
        found = {str(path): path.lstat() for path in self.root.rglob("*")}
        return {name: (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns) for name, seen in found.items()}

    def leftovers(self) -> list[str]:
        """Of interrupted writes, where nobody else writes; beside a file that an operator named, one may."""
        ours = (self.volume, self.etc, self.root / "node")
        return sorted(str(path.relative_to(self.root)) for place in ours for path in place.rglob(".tmp-*"))

    @contextmanager
    def serves(self) -> Iterator[api_pb2_grpc.KeyManagementServiceStub]:
        """A boot: the real server, once its Status says ok; at the end it was asked to end, and did."""
        if (kept := self.root / KEPT_KEY).exists():
            kept.rename(self.seal_key)  # somebody brought it back
        self.must("provision")  # supervisord runs it at every start
        for directory in ("run", "admin"):
            (self.memory / directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        with started(acts.kleidi, ("serve",), self.environment) as child:
            with grpc.insecure_channel(f"unix:{self.memory}/run/kms.sock", _AT_ONCE) as channel:
                stub = api_pb2_grpc.KeyManagementServiceStub(channel)

                def ok() -> bool:
                    with contextlib.suppress(grpc.RpcError):  # it tells why it does not serve yet
                        status = stub.Status(
                            api_pb2.StatusRequest(), timeout=READY_SECONDS, wait_for_ready=True
                        )
                        return bool(status.healthz == "ok")
                    return False

                eventually(ok, within=READY_SECONDS, explain=child.said)
                yield stub
            child.finish()


@contextmanager
def shared_memory() -> Iterator[Path]:
    """A directory in memory for all sites; what killed processes left in it goes with it."""
    path = Path("/dev/shm") / f"kleidi-faults-{secrets.token_hex(6)}"  # noqa: S108
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        memory.remove(path)
