"""What is sealed is a plain tar of exactly what belongs."""

import io
import json
import stat
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
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


@given(FILES, st.text(max_size=43))
def test_comes_back_as_it_was(files: dict[str, bytes], user_pin: str) -> None:
    token = replace(PAYLOAD.token, files=files, user_pin=user_pin)
    payload = Payload(PAYLOAD.keyset, token)
    assert Payload.from_bytes(payload.to_bytes()) == payload


def test_holds_the_key_list_the_pins_and_the_tokens_files_and_nothing_else() -> None:
    found = entries(PAYLOAD.to_bytes())
    files = ["tokens/a1/b2.object", "tokens/a1/token.object", "tokens/fake-token/k1"]
    assert list(found) == ["manifest.json", "secrets.json", *files]
    assert json.loads(found["manifest.json"]) == {
        "schema": SCHEMA,
        "keyset": PAYLOAD.keyset.to_json(),
        "token": {"serial": "serial"},
    }
    pins = json.loads(found["secrets.json"])
    assert (pins["user_pin"], pins["so_pin"]) == ("user pin", "")
    assert found["tokens/a1/token.object"] == PAYLOAD.token.files["a1/token.object"]


def test_the_so_pin_that_older_seals_carry_is_left_behind() -> None:
    files = PAYLOAD.to_entries()
    pins = json.loads(files["secrets.json"]) | {"so_pin": "nobody needs it"}
    older = Payload.from_entries(files | {"secrets.json": json.dumps(pins).encode()})
    assert older == PAYLOAD
    assert b"nobody needs it" not in older.to_bytes()


def test_is_the_same_for_the_same() -> None:
    assert PAYLOAD.to_bytes() == PAYLOAD.to_bytes()


def test_secrets_do_not_show_when_printed() -> None:
    assert "pin" not in repr(PAYLOAD).replace("user_pin", "")
    assert "token.object" not in repr(PAYLOAD)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "other/token.object",
        "tokens/token.object",
        "tokens/a1/b2/c3",
        "tokens/../etc/passwd",
        "tokens/a1/..",
        "tokens/a1/.",
        "tokens//token.object",
        "/tokens/a1/x",
        "../tokens/a1/x",
        "tokens/a1/x y",
        "tokens/a1/x\n",
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
    data = with_entry("tokens/a1/evil", kind, "tokens/a1/token.object")
    assert refused(lambda: Payload.from_bytes(data)) is faults.SEAL_CORRUPT


def test_a_name_that_comes_twice_is_refused() -> None:
    data = with_entry("tokens/a1/token.object")
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
