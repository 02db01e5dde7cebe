"""What `kleidi usage` costs: objects a second and peak memory, from each of its sources.

`python -m tests.bench.usage count N` counts N generated values in its own process;
`python -m tests.bench.usage document N` prints them as etcdctl would.
"""

import base64
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from appliance.usage.counting import count
from proto.storage.encrypted_object_pb2 import EncryptedObject
from tests.conformance.etcd import Etcd
from tests.rig import BIN

MANY = 1_000_000
STORED = 100_000  # etcd writes some thousands a second where the disk is slow
_TXN = 128  # etcd's --max-txn-ops, as it is by default


def objects(number: int) -> Iterator[tuple[bytes, bytes]]:
    """Half plain, half Secrets under two key ids; some 800 bytes each."""
    plain = b"k8s\x00" + os.urandom(800)
    encrypted = [_encrypted(f"kleidi/0123456789ab/v{version}/fedcba987654") for version in (1, 2)]
    for index in range(number):
        if index % 2:
            yield b"/registry/secrets/default/s%09d" % index, encrypted[index // 2 % 2]
        else:
            yield b"/registry/configmaps/default/c%09d" % index, plain


def _encrypted(key_id: str) -> bytes:
    fields = EncryptedObject(encryptedData=os.urandom(700), keyID=key_id, encryptedDEKSource=os.urandom(61))
    return b"k8s:enc:kms:v2:kleidi:" + fields.SerializeToString()


class Generated:
    """A source with nothing behind it: the price of counting alone."""

    def __init__(self, number: int) -> None:
        self.revision, self.total = 1, number

    def objects(self) -> Iterator[tuple[bytes, bytes]]:
        return objects(self.total)


def _print_document(number: int) -> None:
    write = sys.stdout.write
    write(
        '{"header":{"cluster_id":14841639068965178418,"member_id":10276657743932975437,"revision":7},"kvs":['
    )
    for index, (key, value) in enumerate(objects(number)):
        fields = {"key": _base64(key), "create_revision": 2, "mod_revision": 2, "version": 1}
        write("," * bool(index) + json.dumps({**fields, "value": _base64(value)}))
    write(f'],"count":{number}}}\n')


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fill(url: str, number: int, *, at_once: int = _TXN) -> None:
    """Through etcd's JSON gateway, in transactions as large as it takes."""
    batch: list[object] = []
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)) as gateway:
        for index, (key, value) in enumerate(objects(number), 1):
            batch.append({"requestPut": {"key": _base64(key), "value": _base64(value)}})
            if len(batch) == at_once or index == number:
                gateway.request("POST", "/v3/kv/txn", json.dumps({"success": batch}))
                answer = gateway.getresponse()
                words = answer.read()
                assert answer.status == http.HTTPStatus.OK, words
                batch.clear()


def table(root: Path, number: int = MANY, stored: int = STORED) -> list[str]:
    few = max(1, number // 100)
    rows = [
        "usage                                       objects   seconds   CPU s   objects/s   peak MiB   aim"
    ]
    counting = [sys.executable, "-m", __name__, "count"]
    rows += [_row("counting alone", many, [*counting, str(many)]) for many in (few, number)]
    for many in (few, number):
        command = [sys.executable, "-m", __name__, "document", str(many)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as printer:
            rows.append(_row("etcdctl's JSON", many, [*_USAGE, "--from-etcdctl", "-"], printer.stdout))
    if shutil.which("etcd") is None:
        return [*rows, "  from etcd: it is not on PATH"]
    directory = root / "usage"
    directory.mkdir()
    etcd = Etcd(directory)
    etcd.start()
    try:
        for many in (max(1, stored // 10), stored):
            fill(etcd.url, many)
            rows.append(_row("etcd, itself on the same cores", many, [*_USAGE, "--endpoints", etcd.url]))
    finally:
        etcd.stop()
    return rows


_USAGE = [str(BIN / "kleidi"), "usage"]


def _row(name: str, number: int, command: list[str], stdin: IO[bytes] | None = None) -> str:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL)
    _, status, spent = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    seconds = time.perf_counter() - started
    cpu = spent.ru_utime + spent.ru_stime
    return (
        f"  {name:36} {number:12,} {seconds:9.1f} {cpu:7.1f} {number / seconds:11,.0f}"
        f" {spent.ru_maxrss / 1024:10.1f}   constant memory"
    )


if __name__ == "__main__":
    what, how_many = sys.argv[1], int(sys.argv[2])
    if what == "count":
        count(Generated(how_many), "/registry")
    else:
        _print_document(how_many)
