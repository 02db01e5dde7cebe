"""The key file is late, lost, or no key: it is told, heals by itself, or the seal is opened by hand."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyrage
import pytest

from appliance.volume.audit import AuditLog
from tests.rig import Appliance
from tests.slots.shop import PHRASE

PATIENCE_SECONDS = 30


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    """Serving, with its key file outside the volume."""
    with Appliance(tmp_path, slot="file", seal_key_file=str(tmp_path / "etc" / "seal.key")) as made:
        made.start()
        made.wait_ready()
        yield made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "seal.key"


def standing(appliance: Appliance) -> tuple[str, str]:
    report = json.loads(appliance.run("status", "-o", "json").stdout)
    return report["state"], report["reason_id"]


def eventually(appliance: Appliance, *wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while standing(appliance) != wanted:
        assert time.monotonic() < deadline, f"{standing(appliance)}\n{appliance.log()}"
        time.sleep(0.2)


def do(appliance: Appliance, *arguments: str) -> str:
    done = appliance.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def restart(appliance: Appliance) -> None:
    appliance.stop()
    appliance.start()


def test_a_lost_key_file_is_told_and_the_passphrase_opens_for_the_life_of_the_process(
    appliance: Appliance, key: Path, tmp_path: Path
) -> None:
    before = appliance.wait_ready()
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE + "\n")
    do(appliance, "slot", "add", "--kind", "passphrase", "--passphrase-file", str(phrase))

    key.rename(tmp_path / "away")
    eventually(appliance, "DEGRADED", "E-SEAL-KEY-GONE")
    assert appliance.status().key_id == before
    # What a new key encrypts would be lost at the next start; whoever means it must say so.
    refused = appliance.run("key", "rotate")
    assert (refused.returncode, refused.stderr.count("E-KEY-WOULD-DIE")) == (5, 1)
    assert appliance.run("key", "rotate", "--force").returncode == 2
    # Changes go on meanwhile: what is open keeps the ways in.
    do(appliance, "key", "rotate", "--force", "--reason", "the passphrase is tested")
    after = appliance.status().key_id
    assert after != before

    restart(appliance)
    eventually(appliance, "SEALED", "E-SEAL-KEY-MISSING")
    phrase.write_text("not the passphrase\n")
    wrong = appliance.run("unseal", "--passphrase-file", str(phrase))
    assert (wrong.returncode, "E-SLOT-WRONG" in wrong.stderr) == (6, True)
    assert standing(appliance) == ("SEALED", "E-SEAL-KEY-MISSING")
    # What stands outside on the seal is known all the same.
    sealed = json.loads(appliance.run("status", "-o", "json").stdout)
    assert (sealed["generation"], sealed["lineage"]) == (4, after.split("/")[1])
    unknown = appliance.run("key", "list")
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert "E-SEAL-KEY-MISSING" in unknown.stderr
    listed = do(appliance, "slot", "list")
    assert "passphrase" in listed
    phrase.write_text(PHRASE + "\n")
    assert "DEGRADED" in do(appliance, "unseal", "--passphrase-file", str(phrase))
    assert appliance.status().key_id == after
    assert standing(appliance) == ("DEGRADED", "E-SEAL-KEY-GONE")
    (entry,) = AuditLog(appliance.volume / "audit.jsonl").tail(1)
    assert (entry["op"], entry["phase"], entry["kind"]) == ("unseal", "done", "passphrase")
    assert str(entry["by"]).startswith(f"{os.getuid()}:")

    # A new key file where the old one was: from now on it comes up by itself again.
    do(appliance, "slot", "add", "--kind", "file", "--name", "new", "--key-file", str(key))
    assert standing(appliance) == ("OPERATIONAL", "")
    steps = re.findall(r"\d (\w+) +\S.* from=(\w+) to=(\w+)(?: id=(\S+))?", appliance.log())
    wanted = [
        ("warning", "OPERATIONAL", "DEGRADED", "E-SEAL-KEY-GONE"),
        ("warning", "STARTING", "SEALED", "E-SEAL-KEY-MISSING"),
        ("info", "SEALED", "OPERATIONAL", ""),
        ("warning", "OPERATIONAL", "DEGRADED", "E-SEAL-KEY-GONE"),
        ("info", "DEGRADED", "OPERATIONAL", "E-SEAL-KEY-GONE"),
    ]
    rest = iter(steps)
    assert all(step in rest for step in wanted), steps
    assert all(after[1] in (before[2], "STARTING") for before, after in pairwise(steps)), steps
    do(appliance, "slot", "remove", "file")
    restart(appliance)
    assert appliance.wait_ready() == after
    do(appliance, "audit", "verify")
    everything = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != phrase
    )
    assert PHRASE.encode() not in everything


def test_an_identity_from_the_safe_opens_too(appliance: Appliance, key: Path, tmp_path: Path) -> None:
    before = appliance.wait_ready()
    identity, safe = pyrage.x25519.Identity.generate(), tmp_path / "safe"
    safe.write_text(f"# from the safe\n{identity}\n")
    do(appliance, "slot", "add", "--kind", "recovery", "--recipient", str(identity.to_public()))
    key.unlink()
    restart(appliance)
    eventually(appliance, "SEALED", "E-SEAL-KEY-MISSING")
    do(appliance, "unseal", "--identity", str(safe))
    assert appliance.status().key_id == before
    do(appliance, "slot", "test", "recovery", "--identity", str(safe))


def test_a_key_on_the_volume_is_told_as_what_it_is(appliance: Appliance) -> None:
    assert "protection  none" not in do(appliance, "status")
    do(appliance, "slot", "add", "--kind", "volume")
    assert "protection  none" in do(appliance, "status")
    do(appliance, "slot", "remove", "volume")
    assert "protection  none" not in do(appliance, "status")
    restart(appliance)
    appliance.wait_ready()


def test_a_key_file_that_comes_late_heals_by_itself(appliance: Appliance, key: Path, tmp_path: Path) -> None:
    before = appliance.wait_ready()
    key.rename(tmp_path / "late")
    restart(appliance)
    eventually(appliance, "SEALED", "E-SEAL-KEY-MISSING")
    (tmp_path / "late").rename(key)
    assert appliance.wait_ready() == before


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: b"", "E-SEAL-KEY-INVALID"),
        (lambda raw: raw + b"\n", "E-SEAL-KEY-INVALID"),
        (lambda raw: raw * 2, "E-SEAL-KEY-INVALID"),
        (lambda raw: raw[::-1], "E-SEAL-KEY-WRONG"),
    ],
    ids=["empty", "trailing newline", "oversize", "another"],
)
def test_what_is_no_key_of_ours_is_told_while_it_serves_and_after(
    appliance: Appliance, key: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    before, raw = appliance.wait_ready(), key.read_bytes()

    def put(data: bytes) -> None:
        key.unlink()
        key.write_bytes(data)

    put(spoil(raw))
    eventually(appliance, "DEGRADED", "E-SEAL-KEY-GONE")
    put(raw)
    eventually(appliance, "OPERATIONAL", "")
    put(spoil(raw))
    restart(appliance)
    eventually(appliance, "SEALED", reason)
    put(raw)
    assert appliance.wait_ready() == before


def test_what_is_asked_badly_gets_one_line(appliance: Appliance, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short\n")
    add, kind = ("slot", "add", "--kind"), ("--passphrase-file", str(tmp_path / "short"))
    for arguments, code, fault in (
        ((*add, "passphrase", *kind), 5, "E-SLOT-SECRET"),
        ((*add, "file"), 2, "E-COMMAND-LINE"),
        ((*add, "recovery", "--recipient", "nobody"), 2, "E-BACKUP-RECIPIENT"),
        ((*add, "file", "--key-file", str(tmp_path / "short")), 3, "E-SEAL-KEY-INVALID"),
        ((*add, "file", "--key-file", str(appliance.volume / "mine.key")), 5, "E-SLOT-SECRET"),
        (("slot", "remove", "file"), 5, "E-SLOT-LAST"),
        (("slot", "remove", "file", "--force"), 2, "E-COMMAND-LINE"),
        (("slot", "test", "nobody"), 5, "E-SLOT-NO-SUCH"),
        ((*add, "passphrase"), 5, "E-SLOT-SECRET"),
        (("unseal",), 2, "E-COMMAND-LINE"),
        (("unseal", *kind), 6, "E-SLOT-WRONG"),
        (("node", "join", str(tmp_path / "none")), 5, "E-NODE-BUNDLE"),
        (("node", "join", str(tmp_path / "short")), 5, "E-INVITATION-EXPIRED"),
        (("node", "export", "--to", "nobody"), 2, "E-BACKUP-RECIPIENT"),
    ):
        done: Any = appliance.run(*arguments)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"kleidi: {fault}: "), line
        assert done.returncode == code, line
    assert standing(appliance) == ("OPERATIONAL", "")
