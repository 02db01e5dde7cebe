"""What the original kleidi stored is read by the API server through us, and moves over to our own key."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.usage.counting import count
from appliance.usage.endpoint import Identity
from appliance.usage.etcd import Etcd as Reader
from tests.conformance.encryption import Kms
from tests.conformance.etcd import Etcd
from tests.conformance.original import LABEL, OriginalKleidi
from tests.conformance.stage import Stage
from tests.rig import Appliance

# Their `name:` in the EncryptionConfiguration; it stands in every object and has to stay.
NAME = "kleidi-kms-plugin"
OBJECTS = {f"secret-{number}": f"value-{number}" for number in range(5)}


def contents(directory: Path) -> dict[str, tuple[str, int, int]]:
    found = {}
    for path in sorted(directory.rglob("*")):
        seen = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (digest, seen.st_mode, seen.st_mtime_ns)
    return found


@pytest.fixture
def own(make_appliance: Callable[..., Appliance]) -> Appliance:
    appliance = make_appliance()
    appliance.start()
    appliance.wait_ready()
    return appliance


@pytest.fixture
def original(stage: Stage, tmp_path: Path) -> OriginalKleidi:
    """Gone; its token and what an API server stored through it are left."""
    with OriginalKleidi(tmp_path) as original:
        server = stage.apiserver(Kms(NAME, original.socket))
        for name, value in OBJECTS.items():
            server.create_secret(name, value)
        assert server.secrets() == OBJECTS
        assert LABEL.encode() in server.stored("secret-0")
        server.stop()
    (tmp_path / "pin").write_text("1234\n")
    return original


def objects_under(etcd: Etcd, prefix: str, key_id: str) -> int:
    return count(Reader([etcd.url], Identity(), prefix), prefix).objects_under(key_id)


def test_objects_of_the_original_are_read_become_stale_and_are_rewritten_under_our_key(
    stage: Stage, own: Appliance, original: OriginalKleidi, etcd: Etcd, tmp_path: Path
) -> None:
    before, key_id = contents(original.tokens), own.wait_ready()
    adopted = own.run("adopt", str(original.tokens), "--pin-file", str(tmp_path / "pin"))
    assert adopted.returncode == 0, adopted.stderr
    assert "plaintext (CKA_PRIVATE false)" in adopted.stdout
    assert contents(original.tokens) == before

    server = stage.apiserver(Kms(NAME, own.socket))
    assert server.secrets() == OBJECTS
    assert objects_under(etcd, stage.prefix, LABEL) == len(OBJECTS)
    for name, value in OBJECTS.items():
        server.replace_secret(name, value)  # changes nothing but the key that it is stored under
    assert objects_under(etcd, stage.prefix, LABEL) == 0
    assert objects_under(etcd, stage.prefix, key_id) == len(OBJECTS)
    assert stage.apiserver(Kms(NAME, own.socket)).secrets() == OBJECTS

    assert own.run("key", "disable", LABEL, "--stored", "0").returncode == 0
    assert stage.apiserver(Kms(NAME, own.socket)).secrets() == OBJECTS
    assert contents(original.tokens) == before


def test_without_adopting_nothing_of_it_is_read(
    stage: Stage, own: Appliance, original: OriginalKleidi
) -> None:
    assert original.tokens.is_dir()
    server = stage.apiserver(Kms(NAME, own.socket))
    with pytest.raises(Exception, match=r"E-KEY-UNKNOWN|E-ANNOTATIONS"):
        server.secrets()


@pytest.mark.parametrize(
    ("pin", "options", "said"),
    [
        ("4321", [], "PIN"),
        ("1234", ["--key-label", "kms-test"], "kms-test"),
        ("1234", ["--token-label", "nobody"], "nobody"),
        ("1234", ["--key-label", "other"], "--annotation"),
    ],
    ids=["wrong PIN", "wrong key label", "wrong token label", "unknown label"],
)
def test_what_does_not_fit_is_one_clear_line_and_changes_nothing(
    own: Appliance, tmp_path: Path, pin: str, options: list[str], said: str
) -> None:
    original = OriginalKleidi(tmp_path)
    (tmp_path / "pin").write_text(pin)
    before, volume = contents(original.tokens), contents(own.volume)
    refused = own.run("adopt", str(original.tokens), "--pin-file", str(tmp_path / "pin"), *options)
    (line,) = refused.stderr.splitlines()
    assert refused.returncode == 5
    assert "E-TOKEN-NOT-ADOPTED" in line
    assert said in line
    assert pin not in line
    assert contents(original.tokens) == before
    assert contents(own.volume) == volume
