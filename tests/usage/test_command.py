"""`kleidi usage` as an operator types it: what it reads, and what it says when it cannot."""

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Fault
from tests.rig import BIN

HERE = Path(__file__).parent
# Of a k3s that dated its key, and of a cluster with `--etcd-prefix=kubernetes.io` and a value of each form.
DATED, PREFIXED = HERE / "dated-key-name.json", HERE / "prefix.json"


def usage(
    *arguments: str, given: bytes | None = None, ahead: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    command = [*ahead, str(BIN / "kleidi"), "usage", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=False)


def counted(*arguments: str, given: bytes | None = None) -> str:
    done = usage(*arguments, given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def refused(fault: Fault, *arguments: str, ahead: tuple[str, ...] = ()) -> str:
    done = usage(*arguments, ahead=ahead)
    assert (done.returncode, done.stdout) == (fault.exit, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"kleidi: {fault.id}: ")
    return line


def test_a_dated_key_name_is_a_name() -> None:
    fields = json.loads(counted("--from-etcdctl", str(DATED), "-o", "json"))
    assert fields["damaged"] == 0
    assert fields["rows"][1] == {
        "resource": "secrets",
        "kind": "aescbc",
        "provider": "",
        "key_id": "aescbckey-2026-01-02T03:04:05Z",
        "objects": 4,
    }


def test_a_prefix_is_written_as_the_api_server_takes_it() -> None:
    read = "--from-etcdctl", str(PREFIXED), "-o", "json", "--prefix"
    found = counted(*read, "/kubernetes.io")
    assert json.loads(found)["whole_cluster"]
    assert counted(*read, "kubernetes.io") == counted(*read, "a/..//kubernetes.io/") == found


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_pipe_is_read_like_a_file(name: str) -> None:
    assert "4  aescbckey-" in counted("--from-etcdctl", name, given=DATED.read_bytes())


def test_a_count_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_NO_SUCH_SETTING", "1")
    assert "5 objects" in counted("--from-etcdctl", str(DATED))


def test_a_snapshot_is_counted_too_from_a_pipe_as_well() -> None:
    snapshot = HERE / "snapshot.db.gz"
    found = json.loads(counted("--etcd-snapshot", str(snapshot), "-o", "json"))
    assert found["complete"]
    assert found["objects"] > 0
    assert json.loads(counted("--etcd-snapshot", "-", "-o", "json", given=snapshot.read_bytes())) == found
    refused(faults.COMMAND_LINE, "--etcd-snapshot", str(snapshot), "--from-etcdctl", str(DATED))


def test_a_fifo_is_read_like_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [BIN / "kleidi", "usage", "--from-etcdctl", fifo], stdout=subprocess.PIPE
    ) as counting:
        fifo.write_bytes(DATED.read_bytes())
        assert counting.stdout
        assert b"aescbckey-2026-01-02T03:04:05Z" in counting.stdout.read()
    assert counting.returncode == 0


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    missing = tmp_path / "document.json"
    assert "No such file" in refused(faults.INPUT_UNREADABLE, "--from-etcdctl", str(missing))
    assert "directory" in refused(faults.INPUT_UNREADABLE, "--from-etcdctl", str(tmp_path))
    shut = "sh", "-c", 'exec "$@" <&-', "sh"
    refused(faults.INPUT_UNREADABLE, "--from-etcdctl", "-", ahead=shut)


def test_a_packed_document_says_how_to_give_it(tmp_path: Path) -> None:
    file = tmp_path / "document.json.gz"
    file.write_bytes(gzip.compress(DATED.read_bytes()))
    assert "gzip" in refused(faults.ETCDCTL_INVALID, "--from-etcdctl", str(file))
