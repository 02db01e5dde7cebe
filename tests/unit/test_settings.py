"""What an operator sets, and what is refused before anything starts."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import faults
from appliance.faults import KleidiError
from appliance.provision.policy import Policy
from appliance.settings import CONFIG_FILE, DEFAULT_FILE, PREFIX, Settings, load, sources

DEFAULTS = {
    "provision": Policy.NEVER,
    "volume_dir": Path("/var/lib/kleidi"),
    "allow_unmounted": False,
    "memory_dir": Path("/dev/shm/kleidi"),  # noqa: S108
    "slot": "file",
    "seal_key_file": None,
    "anchor_file": None,
    "expect_lineage": None,
    "socket": Path("/run/kleidi/kms.sock"),
    "socket_mode": 0o660,
    "socket_group": None,
    "admin_socket": Path("/run/kleidi-admin/admin.sock"),
    "provider_name": "kleidi",
    "softhsm_module": None,
    "call_seconds": 2.5,
    "queue_size": 1024,
    "probe_seconds": 10.0,
    "log_format": "json",
    "log_level": "info",
}


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kleidi.toml"
    monkeypatch.setenv(CONFIG_FILE, str(path))
    return path


def complaint() -> str:
    """The one line that load refuses with."""
    with pytest.raises(KleidiError) as caught:
        load()
    assert caught.value.fault is faults.CONFIG
    assert "\n" not in str(caught.value)
    return caught.value.detail


def test_every_default_is_the_documented_one() -> None:
    settings = load()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


def test_every_setting_describes_itself() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_custody_is_derived_from_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().seal_key == Path("/etc/kleidi/seal.key")
    assert load().anchor == Path("/etc/kleidi/anchor.json")
    monkeypatch.setenv("KLEIDI_SEAL_KEY_FILE", "/keys/mine")
    assert load().seal_key == Path("/keys/mine")
    assert load().anchor == Path("/keys/anchor.json")
    monkeypatch.setenv("KLEIDI_ANCHOR_FILE", "/elsewhere/anchor")
    assert load().anchor == Path("/elsewhere/anchor")


def test_the_demo_slot_keeps_its_key_on_the_volume_and_has_no_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_SLOT", "volume")
    assert load().seal_key == Path("/var/lib/kleidi/seal.key")
    assert load().anchor is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("KLEIDI_PROVISON", "KLEIDI_PROVISION"),
        ("KLEIDI_SOCKETMODE", "KLEIDI_SOCKET_MODE"),
        ("KLEIDI_volume_dir", ""),
        ("KLEIDI_PIN", ""),
        ("KLEIDI_", ""),
    ],
)
def test_an_unknown_name_is_refused_with_a_hint(
    name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert name in complaint()
    assert f"did you mean {near}" in complaint() or not near


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROVISION", "always"),
        ("VOLUME_DIR", "var/lib/kleidi"),
        ("MEMORY_DIR", "memory"),
        ("SEAL_KEY_FILE", "seal.key"),
        ("ANCHOR_FILE", "anchor.json"),
        ("SOFTHSM_MODULE", "libsofthsm2.so"),
        ("ALLOW_UNMOUNTED", "perhaps"),
        ("SLOT", "passphrase"),
        ("EXPECT_LINEAGE", "0123456789AB"),
        ("EXPECT_LINEAGE", ""),
        ("SOCKET", "unix://run/kms.sock"),
        ("ADMIN_SOCKET", "admin.sock"),
        ("SOCKET_MODE", "0999"),
        ("SOCKET_MODE", "01000"),
        ("SOCKET_MODE", "-1"),
        ("SOCKET_MODE", "rw"),
        ("SOCKET_GROUP", "no such group"),
        ("PROVIDER_NAME", "with:colon"),
        ("PROVIDER_NAME", "two words"),
        ("PROVIDER_NAME", ""),
        ("PROVIDER_NAME", "a\u00a0b"),
        ("PROVIDER_NAME", "kleidi\n"),
        ("PROVIDER_NAME", "k" * 101),
        ("TRANSIT_MOUNT", "/transit"),
        ("TRANSIT_MOUNT", "transit/"),
        ("TRANSIT_MOUNT", "transit\n"),
        ("TRANSIT_MOUNT", "/".join("abcdefghi")),
        ("TRANSIT_MOUNT", "a/.b"),
        ("TRANSIT_KEY", "a/b"),
        ("TRANSIT_KEY", "k" * 129),
        ("CALL_SECONDS", "0"),
        ("CALL_SECONDS", "60"),
        ("CALL_SECONDS", "nan"),
        ("QUEUE_SIZE", "15"),
        ("QUEUE_SIZE", "many"),
        ("PROBE_SECONDS", "61"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "INFO"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    assert PREFIX + name in complaint()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"slot": "volume", "seal_key_file": "/keys/seal.key"}, "KLEIDI_SLOT"),
        ({"volume_dir": "/data", "seal_key_file": "/data/seal.key"}, "KLEIDI_SEAL_KEY_FILE"),
        ({"volume_dir": "/etc/kleidi"}, "KLEIDI_SEAL_KEY_FILE"),
        ({"volume_dir": "/data", "anchor_file": "/data/etc/anchor.json"}, "KLEIDI_ANCHOR_FILE"),
        ({"socket": "/run/k/kms.sock", "admin_socket": "/run/k/admin.sock"}, "KLEIDI_ADMIN_SOCKET"),
        ({"volume_dir": "/data", "memory_dir": "/data/memory"}, "KLEIDI_MEMORY_DIR"),
        ({"volume_dir": "/data", "memory_dir": "/data"}, "KLEIDI_MEMORY_DIR"),
        ({"volume_dir": "/data", "socket": "/data/kms.sock"}, "KLEIDI_SOCKET"),
        ({"volume_dir": "/data", "admin_socket": "/data/admin.sock"}, "KLEIDI_ADMIN_SOCKET"),
    ],
)
def test_settings_that_cannot_hold_together_are_refused_by_name(
    values: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name.upper(), value)
    assert named in complaint()


@given(st.sampled_from([mode for mode in range(0o1000) if mode & 0o220 and not mode & 0o002]))
def test_a_mode_is_read_as_chmod_reads_it(mode: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for text in (f"{mode:o}", f"{mode:04o}", f"{mode:#o}"):
            patch.setenv("KLEIDI_SOCKET_MODE", text)
            assert load().socket_mode == mode


def test_a_group_is_a_name_or_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().socket_gid is None
    monkeypatch.setenv("KLEIDI_SOCKET_GROUP", "65534")
    assert load().socket_gid == 65534
    monkeypatch.setenv("KLEIDI_SOCKET_GROUP", "root")
    assert load().socket_gid == 0


def test_the_socket_may_be_written_as_the_api_servers_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_SOCKET", "unix:///run/other/kms.sock")
    assert load().socket == Path("/run/other/kms.sock")


def test_a_file_sets_what_the_environment_does_not(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('provision = "auto"\nqueue_size = 64\nsocket_mode = 0o600\nsocket_group = "7"\n')
    monkeypatch.setenv("KLEIDI_QUEUE_SIZE", "128")
    settings = load()
    assert settings.provision is Policy.AUTO
    assert settings.queue_size == 128
    assert settings.socket_mode == 0o600
    assert settings.socket_gid == 7


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"provision = ", CONFIG_FILE),
        (b"\xff\xfe", CONFIG_FILE),
        (b'provison = "auto"', "provison of "),
        (b"queue_size = 1", "KLEIDI_QUEUE_SIZE"),
        (b"[volume]\ndir = 1", "volume of "),
        (b"socket_mode = 660", "KLEIDI_SOCKET_MODE"),
        (b'slot = "volume"\nseal_key_file = "/keys/k"', "KLEIDI_SEAL_KEY_FILE"),
    ],
)
def test_a_broken_file_is_refused_by_name(toml: Path, text: bytes, named: str) -> None:
    toml.write_bytes(text)
    assert named in complaint()


def test_a_file_that_is_not_there_is_refused(toml: Path) -> None:
    assert CONFIG_FILE in complaint()
    toml.mkdir()
    assert CONFIG_FILE in complaint()


def test_settings_cannot_be_changed_afterwards() -> None:
    settings: Any = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.provision = Policy.AUTO


def test_a_nodes_own_file_is_read_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DEFAULT_FILE == "/etc/kleidi/config.toml"
    path = tmp_path / "etc/config.toml"
    monkeypatch.setattr(sources, "DEFAULT_FILE", str(path))
    assert load().queue_size == 1024
    path.parent.mkdir()
    assert load().queue_size == 1024
    path.write_text("queue_size = 64\n")
    assert load().queue_size == 64
    path.write_text("queue_size = \n")
    assert str(path) not in os.environ.values()
    complaint()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_may_not_look_there_is_not_stopped_by_it_but_a_server_that_may_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        path = Path(made, "config.toml")
        path.write_text("queue_size = 64\n")
        path.chmod(0o600)
        monkeypatch.setattr(sources, "DEFAULT_FILE", str(path))
        try:
            os.seteuid(4711)
            assert load().queue_size == 1024
            os.seteuid(0)
            Path(made).chmod(0o755)
            os.seteuid(4711)
            assert "Permission denied" in complaint()
        finally:
            os.seteuid(0)


def test_a_misspelt_name_in_a_file_is_told_as_it_stands_there(toml: Path) -> None:
    toml.write_text('soket = "/run/x/kms.sock"\n')
    assert complaint() == f"soket of {toml} is not a setting; did you mean socket?"
