"""`make demo`: a Secret goes through the API server's own code into etcd and comes back."""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import grpc

from proto.kmsv2 import api_pb2, api_pb2_grpc
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.rig import CHECKOUT, Appliance

VALUE = "correct horse battery staple"
ROW = 16
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def title(text: str) -> None:
    say(f"\n{BOLD}{text}{PLAIN}")


def dump(data: bytes) -> None:
    for start in range(0, len(data), ROW):
        row = data[start : start + ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)  # printable ASCII
        say(f"  {start:04x}  {row.hex(' '):{3 * ROW}} {text}")


def key_id_at(socket: Path) -> str | None:
    """The key id of an appliance that is ready there."""
    with grpc.insecure_channel(f"unix:{socket}") as channel, contextlib.suppress(grpc.RpcError):
        status = api_pb2_grpc.KeyManagementServiceStub(channel).Status(api_pb2.StatusRequest(), timeout=3)
        return status.key_id if status.healthz == "ok" else None
    return None


def appliance(root: Path, exits: contextlib.ExitStack) -> tuple[Path, str]:
    """The socket and key id of the one that `make run` serves, or else of one for this demo only."""
    running = CHECKOUT / os.environ.get("RUN_DIR", ".run") / "run" / "kms.sock"
    if running.exists() and (key_id := key_id_at(running)):
        title("1. The appliance of `make run` is up; we use it")
        return running, key_id
    title("1. An appliance starts: supervisord, the provisioner, the server")
    own = exits.enter_context(Appliance(root / "appliance"))
    began = time.monotonic()
    own.start()
    key_id = own.wait_ready()
    say(f"  first boot to Status ok: {time.monotonic() - began:.1f} s")
    return own.socket, key_id


def main() -> None:
    with contextlib.ExitStack() as exits:
        root = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="kleidi-demo-")))
        (root / "appliance").mkdir()
        socket, key_id = appliance(root, exits)
        say(f"  socket  {socket}\n  key_id  {key_id}")

        title(
            "2. etcd starts, and the API server's own code (k8s.io/apiserver) that is told to encrypt with us"
        )
        etcd = Etcd(root)
        exits.callback(etcd.stop)
        etcd.start()
        stage = exits.enter_context(Stage(SecretServer.obtain(), etcd, root))
        kms = Kms("kleidi", socket)
        server = stage.apiserver(kms)
        say(f"  its provider: {kms.entry()}")

        title(f"3. A Secret is written through it: {VALUE!r}")
        server.create_secret("demo", VALUE)

        title("4. What etcd holds of it, byte for byte")
        stored = server.stored("demo")
        dump(stored[: 12 * ROW])
        say(f"  ... {len(stored)} bytes in all")
        readable = VALUE.encode() in stored
        say(
            f"  the prefix {kms.prefix.decode()!r}: {'there' if stored.startswith(kms.prefix) else 'MISSING'}"
        )
        say(f"  the key_id: {'there' if key_id.encode() in stored else 'MISSING'}")
        say(f"  the Secret's value: {'READABLE' if readable else 'not to be found'}")

        title("5. The same Secret, read by a second API server with nothing cached: it has to ask us")
        value = stage.apiserver(kms).secret("demo")
        say(f"  {value!r}\n")
        if readable or value != VALUE:
            sys.exit("this is not what should have happened")
        say("Done: etcd alone gives nothing away. `make run` keeps an appliance running; README.md goes on.")


if __name__ == "__main__":
    main()
