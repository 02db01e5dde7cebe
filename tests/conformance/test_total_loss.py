import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.secretserver import SecretServer
from tests.conformance.stage import Stage
from tests.rig import Appliance

SECRETS = {f"secret-{number}": f"value of {number}" for number in range(40)}
REGISTRY = "/registry"  # what `kleidi backup verify --etcd-snapshot` looks under, as every API server does


def etcdctl(*arguments: str) -> None:
    program = shutil.which("etcdctl")
    assert program, "etcdctl is not on PATH; Debian and Ubuntu have it in the package etcd-client"
    subprocess.run([program, *arguments], check=True, capture_output=True, env={"ETCDCTL_API": "3"})


@pytest.fixture
def make_etcd(tmp_path: Path) -> Iterator[Callable[[str], Etcd]]:
    """An etcd that a test may lose, in the directory of the name given."""
    with contextlib.ExitStack() as exits:

        def make(name: str) -> Etcd:
            etcd = Etcd(tmp_path / name)
            (tmp_path / name).mkdir(exist_ok=True)
            exits.callback(etcd.stop)
            etcd.start()
            return etcd

        yield make


def do(appliance: Appliance, *arguments: str) -> str:
    done = appliance.run(*arguments)
    assert done.returncode == 0, f"kleidi {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def test_everything_lost_comes_back_from_one_bundle_and_one_snapshot_of_etcd(
    make_appliance: Callable[..., Appliance],
    make_etcd: Callable[[str], Etcd],
    secretserver: SecretServer,
    tmp_path: Path,
) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"{identity}\n")
    bundle, snapshot = tmp_path / "bundle.age", tmp_path / "snapshot.db"

    before, etcd = make_appliance(), make_etcd("before")
    before.start()
    before.wait_ready()
    # Rotated while data of the first key stays: both keys must come back.
    with Stage(secretserver, etcd, tmp_path) as stage:
        server = stage.apiserver(Kms("kleidi", before.socket), prefix=REGISTRY)
        for name, value in SECRETS.items():
            server.create_secret(name, value)
        do(before, "key", "rotate")
    key_id = before.status().key_id
    do(before, "backup", "create", str(bundle), "--to", str(identity.to_public()))
    etcdctl("--endpoints", etcd.url, "snapshot", "save", str(snapshot))
    before.close()
    etcd.stop()
    shutil.rmtree(before.root)
    shutil.rmtree(tmp_path / "before")

    after = make_appliance(provision="never")
    after.start()
    known = "--identity", str(tmp_path / "identity")
    do(after, "backup", "verify", str(bundle), *known, "--etcd-snapshot", str(snapshot))
    do(after, "backup", "restore", str(bundle), *known)
    assert after.wait_ready() == key_id

    (tmp_path / "after").mkdir()
    etcdctl("snapshot", "restore", str(snapshot), "--data-dir", str(tmp_path / "after" / "data"))
    (tmp_path / "again").mkdir()
    with Stage(secretserver, make_etcd("after"), tmp_path / "again") as stage:
        server = stage.apiserver(Kms("kleidi", after.socket), prefix=REGISTRY)
        assert server.secrets() == SECRETS
        server.create_secret("new", "life")
        assert server.secret("new") == "life"
