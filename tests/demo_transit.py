"""`make demo ENGINE=transit`: the key in a cluster of three OpenBao servers, one of which is killed."""

import contextlib
import sys
import tempfile
from pathlib import Path

from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.demo import ROW, VALUE, dump, say, title
from tests.rig import CONFIG, Appliance
from tests.transit.node import admitted
from tests.transit.openbao import three
from tests.usage.authority import Authority


def main() -> None:
    with contextlib.ExitStack() as exits:
        root = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="kleidi-demo-")))
        title("1. Three OpenBao servers start, with TLS and one raft; a Transit key is made")
        cluster = exits.enter_context(three(root / "bao", Authority(root / "authority")))
        leader = cluster.leader()
        standbys = [node for node in cluster.nodes if node is not leader]
        say(f"  leader   {leader.address}")
        for node in standbys:
            say(f"  standby  {node.address}")

        title("2. What a node may do there: `kleidi transit policy`")
        say("\n".join(f"  {line}" for line in policy(Access()).splitlines()))

        title("3. An appliance starts; a standby is its first address")
        addresses = [standbys[0].address, leader.address, standbys[1].address]
        settings = admitted(leader, root / "login", addresses)
        (root / "appliance").mkdir()
        own = exits.enter_context(Appliance(root / "appliance", CONFIG, engine="transit", **settings))
        own.start()
        key_id = own.wait_ready()
        say(f"  key_id  {key_id}")
        checked = own.run("transit", "check")
        say("\n".join(f"  {line}" for line in checked.stdout.splitlines()))

        title(f"4. A Secret is written through the API server's own code: {VALUE!r}")
        etcd = Etcd(root)
        exits.callback(etcd.stop)
        etcd.start()
        stage = exits.enter_context(Stage(SecretServer.obtain(), etcd, root))
        kms = Kms("kleidi", own.socket)
        server = stage.apiserver(kms)
        server.create_secret("demo", VALUE)
        stored = server.stored("demo")
        dump(stored[: 8 * ROW])
        readable = VALUE.encode() in stored
        say(f"  the key_id: {'there' if key_id.encode() in stored else 'MISSING'}")
        say(f"  the Secret's value: {'READABLE' if readable else 'not to be found'}")

        title("5. That standby is killed; a second API server, with nothing cached, reads it")
        standbys[0].kill()
        value = stage.apiserver(kms).secret("demo")
        say(f"  {value!r}, and Status says {own.status().healthz}\n")
        if readable or value != VALUE:
            sys.exit("this is not what should have happened")
        say("Done: the key never was on this machine's side of the wire. docs/vault.md goes on.")


if __name__ == "__main__":
    main()
