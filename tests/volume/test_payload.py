"""What is sealed is a plain tar of exactly what belongs."""

import io
import json
import stat
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.keys.engine import SOFTHSM, EngineState
from appliance.volume.payload import SCHEMA, Payload
from tests.volume.house import PAYLOAD, refused

PARTS = st.from_regex(r"[0-9A-Za-z-]{1,40}", fullmatch=True)
FILES = st.dictionaries(st.tuples(PARTS, PARTS).map("/".join), st.binary(max_size=1500), max_size=5)


def entries(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        found = {}
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            assert entry.isreg()
            assert stat.S_IMODE(entry.mode) == 0o400
            found[entry.name] = content.read()
        return found


def rewritten(change: Callable[[tarfile.TarFile, tarfile.TarInfo, bytes], None]) -> bytes:
    """The payload's tar, each entry written by *change*."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in entries(PAYLOAD.to_bytes()).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            change(archive, entry, data)
    return buffer.getvalue()


def with_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """The payload's tar with one more entry at its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for known, data in entries(PAYLOAD.to_bytes()).items():
            entry = tarfile.TarInfo(known)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        more = tarfile.TarInfo(name)
        more.type, more.linkname = kind, link
        archive.addfile(more)
    return buffer.getvalue()


@given(FILES, FILES)
def test_comes_back_as_it_was(files: dict[str, bytes], others: dict[str, bytes]) -> None:
    engines = {SOFTHSM: EngineState(files), "another": EngineState(others)}
    payload = Payload(PAYLOAD.keyset, {name: state for name, state in engines.items() if state})
    assert Payload.from_bytes(payload.to_bytes()) == payload


def test_holds_the_key_list_and_what_the_engines_keep_and_nothing_else() -> None:
    found = entries(PAYLOAD.to_bytes())
    files = [f"engines/softhsm/{name}" for name in ("a1/b2.object", "a1/token.object", "keys/k1", "pin")]
    assert list(found) == ["manifest.json", "secrets.json", *files]
    assert json.loads(found["manifest.json"]) == {"schema": SCHEMA, "keyset": PAYLOAD.keyset.to_json()}
    assert json.loads(found["secrets.json"]) == {"slots": []}
    assert found["engines/softhsm/pin"] == PAYLOAD.state(SOFTHSM).files["pin"]


def test_of_an_engine_that_keeps_nothing_nothing_is_kept() -> None:
    assert PAYLOAD.with_state("another", EngineState()).engines == PAYLOAD.engines
    assert PAYLOAD.with_state(SOFTHSM, EngineState()).engines == {}


def test_is_the_same_for_the_same() -> None:
    assert PAYLOAD.to_bytes() == PAYLOAD.to_bytes()


def test_secrets_do_not_show_when_printed() -> None:
    assert "token.object" not in repr(PAYLOAD)
    assert PAYLOAD.state(SOFTHSM).files["pin"].decode() not in repr(PAYLOAD)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "other/token.object",
        "tokens/a1/token.object",
        "engines/softhsm",
        "engines/Soft/x",
        "engines/softhsm/../etc/passwd",
        "engines/softhsm/a1/..",
        "engines/softhsm/a1/.",
        "engines/softhsm//token.object",
        "engines/softhsm/1/2/3/4/5",
        "/engines/softhsm/x",
        "../engines/softhsm/x",
        "engines/softhsm/x y",
        "engines/softhsm/x\n",
    ],
)
def test_a_foreign_name_is_refused(name: str) -> None:
    assert refused(lambda: Payload.from_bytes(with_entry(name))) is faults.SEAL_CORRUPT


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE],
    ids=["symbolic link", "hard link", "directory", "device", "fifo"],
)
def test_an_entry_that_is_no_file_is_refused(kind: bytes) -> None:
    data = with_entry("engines/softhsm/evil", kind, "engines/softhsm/a1/token.object")
    assert refused(lambda: Payload.from_bytes(data)) is faults.SEAL_CORRUPT


def test_a_name_that_comes_twice_is_refused() -> None:
    data = with_entry("engines/softhsm/a1/token.object")
    assert refused(lambda: Payload.from_bytes(data)) is faults.SEAL_CORRUPT


@pytest.mark.parametrize("missing", ["manifest.json", "secrets.json"])
def test_a_missing_part_is_refused(missing: str) -> None:
    def change(archive: tarfile.TarFile, entry: tarfile.TarInfo, data: bytes) -> None:
        if entry.name != missing:
            archive.addfile(entry, io.BytesIO(data))

    assert refused(lambda: Payload.from_bytes(rewritten(change))) is faults.SEAL_CORRUPT


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{}", b'{"schema": "other/v2"}', b'{"schema": "kleidi.payload/v1", "keyset": 7}'],
)
def test_a_manifest_without_sense_is_refused(manifest: bytes) -> None:
    def change(archive: tarfile.TarFile, entry: tarfile.TarInfo, data: bytes) -> None:
        content = manifest if entry.name == "manifest.json" else data
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))

    assert refused(lambda: Payload.from_bytes(rewritten(change))) is faults.SEAL_CORRUPT


@given(st.binary(max_size=1200))
def test_any_other_bytes_are_refused_with_an_error_of_its_own(data: bytes) -> None:
    assert refused(lambda: Payload.from_bytes(data)) is faults.SEAL_CORRUPT
