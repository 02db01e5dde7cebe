"""What the matrix would notice: each thing that it looks for, planted."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.volume.audit import AuditLog
from tests.faults import acts
from tests.faults.after import astray, lost, unfinished, unserved, unswept, untold
from tests.faults.look import ANNOUNCED
from tests.faults.matrix import Scene
from tests.faults.site import Site
from tests.faults.traced import points, tracer
from tests.faults.warm import Ended, run
from tests.faults.ways import ENOSPC, KILL

Scenes = Callable[[str], Scene]
INJECTED = ["fsync(3) = -1 ENOSPC (No space left on device) (INJECTED)"]


@pytest.fixture
def there(scene: Scenes) -> Scene:
    return scene("destroy")


@pytest.fixture
def site(there: Scene) -> Iterator[Site]:
    """v1 is destroyed, v2 the primary key, and everything is as it should be."""
    site = there.site.copied("planted")
    site.must(there.verb.command)
    yield site
    site.clear()


def newest(site: Site) -> Path:
    return max(site.volume.glob("generation-*"))


def test_nothing_is_said_of_what_is_as_it_should_be(there: Scene, site: Site) -> None:
    seen = site.look()
    assert not [*lost(site, seen, there.known), *unswept(site, seen), *unserved(site, seen)]
    assert not [*unfinished(site.does(acts.kleidi, there.verb.command), seen, there.known)]
    assert not [*astray(site, there.known, frozenset())]


def test_a_volume_that_went_back_is_noticed(there: Scene, scene: Scenes, site: Site) -> None:
    seen = site.look()
    newest(site).unlink()
    assert any("after" in said for said in lost(site, site.look(), there.known, seen))
    other = scene("provision").known.goals[0]
    assert any(said.startswith("lost: ") for said in lost(site, other, there.known))


def test_a_ciphertext_that_does_not_open_any_more_is_noticed(there: Scene, site: Site) -> None:
    known = json.loads((site.root / ANNOUNCED).read_text())
    known[1][1] = known[1][1][:-1] + ("1" if known[1][1][-1] == "0" else "0")
    known.append([known[1][0].replace("/v2/", "/v9/"), known[1][1]])
    (site.root / ANNOUNCED).write_text(json.dumps(known))
    said = " ".join(lost(site, site.look(), there.known))
    assert "E-CIPHERTEXT-TAMPERED" in said
    assert "E-KEY-UNKNOWN" in said


def test_a_key_that_nobody_switched_off_is_noticed(scene: Scenes, site: Site) -> None:
    assert any(said.startswith("switched off: ") for said in lost(site, site.look(), scene("enable").known))


def test_another_lineage_is_noticed(there: Scene, site: Site) -> None:
    mark = site.seal_key.with_name("seal.key.used")
    mark.chmod(0o600)
    mark.write_text("ffffffffffff\n")
    assert any("lineage" in said for said in lost(site, site.look(), there.known))


def test_a_broken_audit_log_is_noticed(there: Scene, site: Site) -> None:
    log = AuditLog(site.volume / "audit.jsonl").path
    log.write_bytes(log.read_bytes().replace(b'"seq": 2', b'"seq": 3'))
    assert any("audit verify" in said for said in lost(site, site.look(), there.known))


def test_leftovers_and_generations_that_hold_a_destroyed_key_are_noticed(there: Scene, site: Site) -> None:
    (site.volume / ".tmp-generation-00000009.seal-0123abcd").write_bytes(b"")
    before = max(there.site.volume.glob("generation-*"))
    (site.volume / before.name).write_bytes(before.read_bytes())
    said = " ".join(unswept(site, site.look()))
    assert "left: volume/.tmp-" in said
    assert "destroyed, and still there" in said


def test_another_file_and_another_mode_are_noticed(there: Scene, site: Site) -> None:
    site.must("provision")
    site.anchor.chmod(0o666)
    (site.etc / "more").touch()
    (said,) = astray(site, there.known, frozenset({"volume/ledger.json"}))
    assert said == "other files: etc/anchor.json, etc/more"


def test_another_end_of_the_second_run_is_noticed(there: Scene, site: Site) -> None:
    seen = site.look()
    assert any(unfinished(Ended(5, "", "kleidi: E-KEY-IN-USE: it is. Wait. (1)\n"), seen, there.known))
    assert any(unfinished(Ended(0, "", ""), there.known.before, there.known))


@pytest.mark.parametrize(
    "said",
    ["", "Traceback (most recent call last):\n", "kleidi: E-VOLUME-FULL: a\nb\n", "kleidi: E-OTHER: a\n"],
)
def test_what_is_not_one_line_with_an_id_is_noticed(said: str) -> None:
    assert any(ENOSPC.ended_wrongly(Ended(5, "", said), INJECTED))


def test_a_disturbance_that_did_not_happen_is_noticed() -> None:
    assert any(KILL.ended_wrongly(Ended(0, "", ""), []))
    assert any(ENOSPC.ended_wrongly(Ended(0, "", ""), []))
    assert not any(ENOSPC.ended_wrongly(Ended(0, "", ""), INJECTED))


def test_a_failure_that_was_none_is_noticed(there: Scene, site: Site) -> None:
    failed = "kleidi: E-AUDIT-FAILED: nothing was changed. Free some space.\n"
    assert any(untold(site, Ended(5, "", failed), site.look(), there.known))
    assert not any(untold(site, Ended(5, "", failed), there.known.before, there.known))
    assert not any(untold(site, Ended(5, "", f"{failed} (it is done)"), site.look(), there.known))


# ---- counting


def rewrite_by_descriptor(words: tuple[str, ...]) -> None:
    """DIRECTORY: a file and its rename, by nothing but the directory's descriptor."""
    directory = os.open(words[0], os.O_RDONLY | os.O_DIRECTORY)
    file = os.open("scratch", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=directory)
    os.write(file, b"data")
    os.fsync(file)
    os.rename("scratch", "file", src_dir_fd=directory, dst_dir_fd=directory)
    os.link("file", "second", src_dir_fd=directory, dst_dir_fd=directory)
    os.unlink("second", dir_fd=directory)
    os.fsync(directory)


def test_what_is_done_by_a_directorys_descriptor_counts_like_what_is_done_by_path(site: Site) -> None:
    words, output = (str(site.volume),), site.root.with_name("descriptor.strace")
    watched = [site.volume, site.volume / "scratch", site.volume / "file"]
    run(rewrite_by_descriptor, words, site.environment, tracer(output, watched))
    found = points(output.read_text().splitlines())
    assert [point.act for point in found] == ["create", "write", "fsync", "rename", "link", "unlink", "fsync"]
    (site.volume / "file").unlink()
    rename = next(point for point in found if point.act == "rename")
    rule = f"inject={rename.syscall}:{KILL.injection}:when={rename.number}"
    ended = run(rewrite_by_descriptor, words, site.environment, tracer(output, watched, "-e", rule))
    assert not any(KILL.ended_wrongly(ended, []))
    assert not (site.volume / "file").exists()
