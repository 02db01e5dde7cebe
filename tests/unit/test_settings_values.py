"""Values that could be set by mistake: each is refused in one line, or works all the way down."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from appliance import assembly, faults
from appliance.configuration import encryption_configuration
from appliance.faults import KleidiError
from appliance.nodes.invitation import Invitations
from appliance.settings import CONFIG_FILE, PREFIX, Settings, load
from appliance.telemetry import NOBODY

NUMBERS = [
    "CALL_SECONDS",
    "QUEUE_SIZE",
    "PROBE_SECONDS",
    "INVITATION_HOURS",
    "TRANSIT_LANES",
    "PKCS11_LANES",
    "DESTROY_WAIT_HOURS",
]
PATHS = [
    "VOLUME_DIR",
    "MEMORY_DIR",
    "SEAL_KEY_FILE",
    "ANCHOR_FILE",
    "SOCKET",
    "ADMIN_SOCKET",
    "SOFTHSM_MODULE",
    "BACKUP_DIR",
    "TPM",
    "TRANSIT_CA_FILE",
    "TRANSIT_TOKEN_FILE",
    "TRANSIT_ROLE_ID_FILE",
    "TRANSIT_SECRET_ID_FILE",
    "TRANSIT_CERT_FILE",
    "TRANSIT_KEY_FILE",
    "PKCS11_MODULE",
    "PKCS11_PIN_FILE",
]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
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
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.detail


def use(settings: Settings, file: Path) -> None:
    """What serving and the verbs make of them, short of opening a token."""
    counted, kept = assembly.ledger(settings), assembly.storage(settings)
    engines = assembly.engines(settings)
    assembly.operations(settings, counted, kept, engines)
    assembly.keeper(settings, counted, kept, engines, NOBODY).close()
    Invitations(settings.invitation_hours * 3600, lambda: 0.0).invite()
    encryption_configuration(settings.provider_name, settings.socket).encode()
    for path in (settings.volume_dir, settings.memory_dir, settings.seal_key, settings.anchor):
        with contextlib.suppress(PermissionError):
            assert path is None or path.with_name(f"{path.name}.used").exists() in (True, False)
    if settings.socket_gid is not None:
        with contextlib.suppress(PermissionError):  # only root may give a file away
            os.chown(file, -1, settings.socket_gid)
    file.chmod(settings.socket_mode)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", ["inf", "-inf", "nan", "-1", "1e-9", "1e308", "100000000000000000000", "true", ""]
)
def test_a_number_is_neither_endless_nor_next_to_nothing(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    assert PREFIX + name in complaint()


@pytest.mark.parametrize("name", NUMBERS[:-1])
def test_only_the_wait_before_a_key_is_destroyed_may_be_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLEIDI_DESTROY_WAIT_HOURS", "0")
    assert load().destroy_wait_hours == 0
    monkeypatch.setenv(PREFIX + name, "0")
    assert PREFIX + name in complaint()


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    "path", ["/a\nb", "/a\x07b", "/a\udcffb", "/a/../b", "//a/b", "/", "/" + 201 * "n", 300 * "/n"]
)
def test_a_path_has_nothing_that_some_layer_cannot_take(
    name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name, path)
    assert PREFIX + name in complaint()


@pytest.mark.parametrize("name", PATHS)
def test_a_file_can_write_a_nul_and_that_is_refused_too(name: str, toml: Path) -> None:
    toml.write_text(f'{name} = "/a\\u0000b"')
    assert PREFIX + name in complaint()


@pytest.mark.parametrize("path", ["/dev/shm/a=b", "/dev/shm/a#b"])  # noqa: S108
def test_the_open_tokens_directory_can_stand_in_softhsms_configuration(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLEIDI_MEMORY_DIR", path)
    assert "KLEIDI_MEMORY_DIR" in complaint()
    assert "SoftHSM" in complaint()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("0", "nobody"),
        ("0400", "nobody"),
        ("0666", "every user"),
        ("0662", "every user"),
        ("0_6_6_0", "octal"),
    ],
)
def test_a_mode_lets_somebody_connect_and_not_everybody(
    mode: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLEIDI_SOCKET_MODE", mode)
    assert "KLEIDI_SOCKET_MODE" in complaint()
    assert why in complaint()


@pytest.mark.parametrize(
    ("written", "right"), [("660", "'0660'"), ("440", "'0440'"), ("600", "'0600'"), ("1660", "'1660'")]
)
def test_a_mode_written_as_a_decimal_number_is_told_how_to_write_it(
    written: str, right: str, toml: Path
) -> None:
    toml.write_text(f"socket_mode = {written}")
    assert f"KLEIDI_SOCKET_MODE: write it as {right}" in complaint()


@pytest.mark.parametrize("written", ["0o660", "432", '"0660"', '"660"'])
def test_a_mode_may_be_text_or_an_octal_number(written: str, toml: Path) -> None:
    toml.write_text(f"socket_mode = {written}")
    assert load().socket_mode == 0o660


@pytest.mark.parametrize("group", ["4294967295", "99999999999", "9" * 5000, "-1", "²", "٣", "a:b"])
def test_a_group_is_one_that_a_file_can_have(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_SOCKET_GROUP", group)
    assert "KLEIDI_SOCKET_GROUP" in complaint()


def test_the_last_group_is_taken_and_a_file_may_write_it_as_a_number(toml: Path) -> None:
    toml.write_text("socket_group = 4294967294")
    assert load().socket_gid == 4294967294


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"ANCHOR_FILE": "/etc/kleidi/seal.key"}, "KLEIDI_SEAL_KEY_FILE and KLEIDI_ANCHOR_FILE"),
        ({"ADMIN_SOCKET": "/run/admin/health.sock"}, "KLEIDI_ADMIN_SOCKET"),
        ({"BACKUP_DIR": "/dev/shm/kleidi"}, "KLEIDI_MEMORY_DIR and KLEIDI_BACKUP_DIR"),  # noqa: S108
        # The probes' socket is one letter longer than this one, which just fits.
        ({"ADMIN_SOCKET": f"/{'d' * 95}/admin.sock"}, "health.sock"),
    ],
)
def test_no_two_things_have_one_path(
    values: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert named in complaint()


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ('provison = "auto"', "provision"),
        ("[kleidi]\nqueue_size = 64", ""),
    ],
)
def test_a_misspelt_name_in_the_file_gets_the_same_hint_as_in_the_environment(
    text: str, near: str, toml: Path
) -> None:
    toml.write_text(text)
    assert "is not a setting" in complaint()
    assert f"did you mean {near}?" in complaint() or not near


def test_names_in_the_file_have_no_prefix(toml: Path) -> None:
    toml.write_text('KLEIDI_SOCKET = "/run/kleidi/kms.sock"')
    assert "kleidi_socket: names are written without the prefix" in complaint()


def test_a_setting_is_in_the_file_once(toml: Path) -> None:
    toml.write_text("queue_size = 64\nQUEUE_SIZE = 65")
    assert "twice" in complaint()


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["Unix", "Windows"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_the_file_may_come_from_any_editor(mark: bytes, ends: str, toml: Path) -> None:
    toml.write_bytes(mark + f"# ours{ends}queue_size = 64{ends}".encode())
    assert load().queue_size == 64


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"socket = " + b"[" * 3000, "nested too deeply"),
        (b"\xff\xfeq\x00", "UTF-8"),
        (b"# " + b"x" * 70_000, "more than 65536 bytes"),
    ],
    ids=["deep", "UTF-16", "huge"],
)
def test_a_file_that_is_not_ours_is_refused_in_words(content: bytes, why: str, toml: Path) -> None:
    toml.write_bytes(content)
    assert CONFIG_FILE in complaint()
    assert why in complaint()


def test_a_file_that_is_none_is_refused_at_once(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(toml)
    assert "not a regular file" in complaint()
    monkeypatch.setenv(CONFIG_FILE, "/dev/zero")
    assert "not a regular file" in complaint()


def test_the_file_may_be_a_link_as_a_config_map_mounts_it(toml: Path) -> None:
    toml.with_name("data").write_text("queue_size = 64")
    toml.symlink_to("data")
    assert load().queue_size == 64


ODD = ["inf", "nan", "0", "1e308", "1e-9", "-1", "9" * 5000, "", "/", "/a=b", "/a\nb", "²", "true", "0660"]
TEXTS = st.sampled_from(ODD) | st.text(max_size=20) | st.floats().map(str) | st.integers().map(str)
PATHLIKE = st.text(max_size=20).map(lambda text: f"/{text}")
NAMES = st.sampled_from(sorted(Settings.model_fields))


@contextlib.contextmanager
def chosen(name: str, value: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv(name, value)
        except (ValueError, UnicodeEncodeError):  # no environment can hold it
            patch.setenv(name, "x")
        yield


def loaded() -> Settings | KleidiError:
    try:
        return load()
    except KleidiError as error:
        return error


def loads_and_works_or_is_refused(file: Path) -> None:
    match loaded():
        case Settings() as settings:
            use(settings, file)
        case KleidiError(fault=faults.CONFIG) as error:
            assert len(str(error).splitlines()) == 1
            assert len(str(error)) < 1000
        case other:
            pytest.fail(str(other))


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(NAMES, TEXTS | PATHLIKE)
@example("destroy_wait_hours", "inf")
@example("destroy_wait_hours", "1e308")
@example("socket_group", "99999999999")
def test_any_text_is_refused_or_works(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "socket"
    file.touch()
    with chosen(PREFIX + name.upper(), value):
        loads_and_works_or_is_refused(file)


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(NAMES, TEXTS | PATHLIKE, st.booleans())
def test_any_text_in_the_file_is_refused_or_works(
    tmp_path: Path, name: str, value: str, quoted: bool
) -> None:
    file, config = tmp_path / "socket", tmp_path / "kleidi.toml"
    file.touch()
    escaped = "".join(f"\\U{ord(letter):08x}" for letter in value)
    config.write_text(f'{name} = "{escaped}"' if quoted else f"{name} = {value}", errors="surrogatepass")
    with chosen(CONFIG_FILE, str(config)):
        loads_and_works_or_is_refused(file)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("serial=1f2e", ("1f2e", "")),
        ("label=kms", ("", "kms")),
        ("serial=1f2e;label=My token", ("1f2e", "My token")),
        ("label=My token serial=1f2e", ("1f2e", "My token")),
        (" label=a=b ; serial=1 ", ("1", "a=b")),
    ],
)
def test_a_token_is_named_by_serial_and_label(
    text: str, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KLEIDI_PKCS11_MODULE", "/opt/hsm/module.so")
    monkeypatch.setenv("KLEIDI_PKCS11_TOKEN", text)
    assert load().pkcs11_names == names


@pytest.mark.parametrize(
    "text", ["", " ", "kms", "serial=", "slot=1", "x label=a", "label=a;label=b", "serial=" + 17 * "1"]
)
def test_a_token_that_is_not_named_is_not_taken(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_PKCS11_MODULE", "/opt/hsm/module.so")
    monkeypatch.setenv("KLEIDI_PKCS11_TOKEN", text)
    assert "KLEIDI_PKCS11_TOKEN" in complaint()


@pytest.mark.parametrize("name", ["TOKEN", "PIN_FILE", "PARAMETERS"])
def test_a_part_of_a_hardware_module_is_not_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"KLEIDI_PKCS11_{name}", {"TOKEN": "label=kms"}.get(name, "/run/what"))
    assert "KLEIDI_PKCS11_MODULE" in complaint()
    monkeypatch.delenv(f"KLEIDI_PKCS11_{name}")
    monkeypatch.setenv("KLEIDI_PKCS11_MODULE", "/opt/hsm/module.so")
    assert "KLEIDI_PKCS11_TOKEN" in complaint()


@pytest.mark.parametrize("name", ["MODULE", "PIN_FILE"])
def test_nothing_of_a_hardware_module_is_on_the_volume(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each, value in {"MODULE": "/opt/module.so", "TOKEN": "label=kms", "PIN_FILE": "/opt/pin"}.items():
        monkeypatch.setenv(f"KLEIDI_PKCS11_{each}", value)
    monkeypatch.setenv(f"KLEIDI_PKCS11_{name}", "/var/lib/kleidi/it")
    assert f"KLEIDI_PKCS11_{name}" in complaint()


def test_new_keys_in_a_hardware_module_need_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLEIDI_ENGINE", "pkcs11")
    assert "KLEIDI_PKCS11_MODULE" in complaint()
    monkeypatch.setenv("KLEIDI_PKCS11_MODULE", "/opt/hsm/module.so")
    monkeypatch.setenv("KLEIDI_PKCS11_TOKEN", "label=kms")
    assert load().engine == "pkcs11"
