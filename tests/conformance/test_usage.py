"""`kleidi usage` on what the API server's own code stored in a real etcd."""

import base64
import http.client
import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage import etcd as reading
from appliance.usage.counting import count
from appliance.usage.endpoint import Identity
from appliance.usage.etcd import Etcd as Reader
from appliance.usage.etcdctl import Etcdctl
from appliance.usage.stored import Kind
from appliance.usage.tally import Row, Tally
from tests.conformance.encryption import Identity as Plain
from tests.conformance.encryption import Kms
from tests.conformance.etcd import START_SECONDS, Etcd, free_ports
from tests.conformance.patience import eventually
from tests.conformance.stage import Stage
from tests.rig import BIN, Appliance
from tests.usage.authority import Authority


def gateway(etcd: Etcd, verb: str, **fields: object) -> dict[str, Any]:
    """Etcd's own JSON gateway: what etcdctl prints has the same form."""
    with closing(http.client.HTTPConnection(etcd.url.removeprefix("http://"), timeout=60)) as connection:
        connection.request("POST", f"/v3/kv/{verb}", json.dumps(fields))
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        assert answer.status == http.HTTPStatus.OK, found
        return found


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def counted(etcd: Etcd, prefix: str) -> Tally:
    return count(Reader([etcd.url], Identity(), prefix), prefix)


@pytest.fixture(scope="module")
def other(make_appliance: Callable[..., Appliance]) -> tuple[Kms, str]:
    appliance = make_appliance()
    appliance.start()
    return Kms("other", appliance.socket), appliance.wait_ready()


@pytest.fixture
def mixed(stage: Stage, kms: Kms, other: tuple[Kms, str]) -> str:
    """A prefix with Secrets of two providers and of none, one truncated, and a ConfigMap beside them."""
    plain = stage.apiserver(Plain())
    plain.create_secret("plain", "value")
    plain.create_configmap("plain", "value")
    first = stage.apiserver(kms, Plain())
    for number in range(3):
        first.create_secret(f"first-{number}", "value")
    second = stage.apiserver(other[0], kms, Plain())
    for number in range(2):
        second.create_secret(f"second-{number}", "value")
    first.put_stored("broken", first.stored("first-0")[:60])
    return stage.prefix


@pytest.fixture
def expected(kms: Kms, key_id: str, other: tuple[Kms, str]) -> dict[Row, int]:
    """The rows of *mixed*."""
    return {
        Row("configmaps", Kind.IDENTITY, "", ""): 1,
        Row("secrets", Kind.IDENTITY, "", ""): 1,
        Row("secrets", Kind.DAMAGED, kms.name, ""): 1,
        Row("secrets", Kind.KMS_V2, kms.name, key_id): 3,
        Row("secrets", Kind.KMS_V2, other[0].name, other[1]): 2,
    }


def objects_of(tally: Tally) -> dict[Row, int]:
    return {row: count for row, count in tally.rows.items() if row.resource in ("secrets", "configmaps")}


def test_counts_two_providers_and_none(
    etcd: Etcd, mixed: str, expected: dict[Row, int], key_id: str, other: tuple[Kms, str]
) -> None:
    tally = counted(etcd, mixed)

    assert tally.complete
    assert objects_of(tally) == expected
    assert (tally.objects_under(key_id), tally.objects_under(other[1])) == (3, 2)


def test_a_rewritten_object_counts_under_the_new_key_alone(
    etcd: Etcd, stage: Stage, kms: Kms, key_id: str, other: tuple[Kms, str]
) -> None:
    stage.apiserver(kms).create_secret("one", "value")
    assert counted(etcd, stage.prefix).objects_under(key_id) == 1

    stage.apiserver(other[0], kms).replace_secret("one", "value")

    tally = counted(etcd, stage.prefix)
    assert (tally.objects_under(key_id), tally.objects_under(other[1])) == (0, 1)


def test_etcdctls_json_gives_the_same_count(
    etcd: Etcd, mixed: str, expected: dict[Row, int], tmp_path: Path
) -> None:
    answer = gateway(etcd, "range", key=encoded(f"{mixed}/"), range_end=encoded(f"{mixed}0"))
    # The gateway writes 64-bit numbers as strings, etcdctl as numbers.
    answer["header"] = {name: int(number) for name, number in answer["header"].items()}
    document = tmp_path / "document.json"
    document.write_text(json.dumps({**answer, "count": int(answer["count"])}))

    with document.open("rb") as stream:
        assert objects_of(count(Etcdctl(stream), mixed)) == expected
    command = [str(BIN / "kleidi"), "usage", "--from-etcdctl", "-", "--prefix", mixed, "-o", "json"]
    done = subprocess.run(command, input=document.read_bytes(), capture_output=True, check=True)
    assert json.loads(done.stdout)["objects"] == sum(expected.values())


def test_the_command_counts_and_says_what_is_under_one_key_id(etcd: Etcd, mixed: str, key_id: str) -> None:
    command = [str(BIN / "kleidi"), "usage", "--endpoints", etcd.url, "--prefix", mixed, "--key-id", key_id]

    text = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"3 of them are under {key_id}." in text.stdout
    assert not text.stderr
    fields = json.loads(subprocess.run([*command, "-o", "json"], capture_output=True, check=True).stdout)
    assert (fields["complete"], fields["objects_under"]) == (True, 3)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--endpoints", "http://127.0.0.1:1"], faults.ETCD_UNREACHABLE),
        (["--endpoints", "nonsense://"], faults.CONFIG),
        (["--cacert", "/nonexistent"], faults.INPUT_UNREADABLE),
        (["--from-etcdctl", "/nonexistent"], faults.INPUT_UNREADABLE),
        (["--from-etcdctl", "-"], faults.ETCDCTL_INVALID),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(arguments: list[str], fault: faults.Fault) -> None:
    command = [str(BIN / "kleidi"), "usage", *arguments]
    done = subprocess.run(command, input="{", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (fault.exit, "")
    assert len(done.stderr.splitlines()) == 1
    assert fault.id in done.stderr


def pages(reader: Reader, act: Callable[[], object]) -> Iterator[tuple[bytes, bytes]]:
    """What *reader* gives, with something done to etcd after the first object."""
    objects = reader.objects()
    yield next(objects)
    act()
    yield from objects


class Disturbed:
    """A reading that etcd is disturbed in."""

    def __init__(self, reader: Reader, act: Callable[[], object]) -> None:
        self._reader = reader
        self._act = act

    @property
    def revision(self) -> int:
        return self._reader.revision

    @property
    def total(self) -> int:
        return self._reader.total

    def objects(self) -> Iterator[tuple[bytes, bytes]]:
        return pages(self._reader, self._act)


@pytest.fixture
def many(etcd: Etcd, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hundred values, read ten at a time."""
    monkeypatch.setattr(reading, "FIRST_LIMIT", 10)
    monkeypatch.setattr(reading, "MAX_LIMIT", 10)
    for number in range(100):
        put(etcd, f"{stage.prefix}/secrets/default/{number:03}")
    return stage.prefix


def put(etcd: Etcd, key: str) -> int:
    """The revision after it."""
    return int(gateway(etcd, "put", key=encoded(key), value=encoded("{}"))["header"]["revision"])


def test_a_compaction_while_it_reads_is_no_count(etcd: Etcd, many: str) -> None:
    def compact() -> None:
        revision = put(etcd, f"{many}/secrets/default/100")
        gateway(etcd, "compaction", revision=revision, physical=True)

    with pytest.raises(KleidiError) as caught:
        count(Disturbed(Reader([etcd.url], Identity(), many), compact), many)
    assert caught.value.fault is faults.ETCD_COMPACTED
    assert counted(etcd, many).objects == 101


def test_what_changes_while_it_reads_is_not_mixed_in(etcd: Etcd, many: str) -> None:
    added = itertools.count(100)

    def change() -> None:
        put(etcd, f"{many}/secrets/default/{next(added)}")
        gateway(etcd, "deleterange", key=encoded(f"{many}/secrets/default/099"))

    tally = count(Disturbed(Reader([etcd.url], Identity(), many), change), many)
    assert (tally.objects, tally.complete) == (100, True)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[str, Authority]]:
    """An etcd as kubeadm sets it up: TLS, and only for clients that its authority knows."""
    authority = Authority(tmp_path / "etcd-ca")
    own = authority.issue("server")
    urls = [f"https://127.0.0.1:{port}" for port in free_ports(2)]
    command = ["etcd", "--data-dir", str(tmp_path / "data"), "--client-cert-auth"]
    command += [
        "--trusted-ca-file",
        str(own.cacert),
        "--cert-file",
        str(own.cert),
        "--key-file",
        str(own.key),
    ]
    command += ["--listen-client-urls", urls[0], "--advertise-client-urls", urls[0]]
    command += ["--listen-peer-urls", urls[1].replace("https", "http")]
    command += ["--initial-advertise-peer-urls", urls[1].replace("https", "http")]
    command += ["--initial-cluster", f"default={urls[1].replace('https', 'http')}"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={"ETCD_UNSUPPORTED_ARCH": "arm64"})
    try:
        eventually(lambda: usage(urls[0], own).returncode == faults.ETCD_EMPTY.exit, within=START_SECONDS)
        yield urls[0], authority
    finally:
        process.terminate()
        process.wait(30)


def usage(url: str, identity: Identity) -> "subprocess.CompletedProcess[str]":
    command = [str(BIN / "kleidi"), "usage", "--endpoints", url]
    files = {"--cacert": identity.cacert, "--cert": identity.cert, "--key": identity.key}
    command += [word for name, path in files.items() if path for word in (name, str(path))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_etcd_with_certificates_of_its_own(locked: tuple[str, Authority], tmp_path: Path) -> None:
    url, authority = locked
    client, strange = authority.issue("client"), Authority(tmp_path / "another-ca").issue("stranger")

    assert faults.ETCD_EMPTY.id in usage(url, client).stderr
    for identity in (
        strange,
        Identity(client.cacert),
        Identity(client.cacert, strange.cert, strange.key),
        Identity(strange.cacert, client.cert, client.key),
    ):
        done = usage(url, identity)
        assert done.returncode == faults.ETCD_TLS.exit
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "certificate" in done.stderr.rpartition("(")[2], done.stderr


def test_values_as_large_as_etcd_takes_them(etcd: Etcd, stage: Stage) -> None:
    large = "{" + " " * (1 << 20)
    for number in range(40):
        key = encoded(f"{stage.prefix}/secrets/default/{number:03}")
        gateway(etcd, "put", key=key, value=encoded(large))
    assert counted(etcd, stage.prefix).objects == 40
