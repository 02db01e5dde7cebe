"""`--engine`: what a node gets for keys that are elsewhere, and what is left to its operator."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.install import layout
from appliance.manifests.description import IMAGE_USER, Description, Role, User
from appliance.manifests.distribution import Distribution, files
from appliance.manifests.engines import Auth, Engine, EngineName, Pkcs11, Transit
from appliance.manifests.pod import static_pod
from appliance.settings import PREFIX, load
from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests import reference
from tests.install.shipped import POD, Shipped, make_root
from tests.install.test_commands import kleidi, needs_root
from tests.install.test_install import install, snapshot
from tests.install.test_operators_settings import QUADLET, container, edited, environment
from tests.install.texts import read, unit
from tests.service.running import until
from tests.transit.openbao import AppRole, single
from tests.usage.authority import Authority

TRANSIT, PKCS11 = reference.ENGINES["transit"], reference.ENGINES["pkcs11"]
TRANSIT_WORDS = ("--engine", "transit", "--transit-address", "https://vault.example.com:8200")
PKCS11_WORDS = ("--engine", "pkcs11", "--pkcs11-module", "/opt/hsm/lib.so", "--pkcs11-token", "label=k")
engines = pytest.mark.parametrize("engine", reference.ENGINES.values(), ids=reference.ENGINES)


def told(described: Description) -> dict[str, dict[str, str]]:
    """The settings, as each text that carries any says them."""
    pod = read(static_pod(described))["spec"]["containers"][0]
    texts = files(Distribution.PODMAN, described)
    lines = [value for _, key, value in unit(texts["kleidi.container"]) if key == "Environment"]
    return {
        "pod": {each["name"]: each["value"] for each in pod["env"]},
        "quadlet": dict(line.split("=", 1) for line in lines),
        "compose": read(texts["compose.yaml"])["services"]["kleidi"]["environment"],
    }


@engines
def test_every_text_says_settings_that_the_appliance_takes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("KLEIDI_CONFIG_FILE", str(tmp_path / "config.toml"))
    described = Description(Role.FIRST, engine=engine)
    pod, *others = told(described).values()
    assert all(other == pod for other in others)
    for name, value in pod.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.engine == engine.name
    if isinstance(engine, Transit):
        assert settings.transit_addresses == " ".join(engine.addresses)
        assert settings.transit_auth == engine.auth


@engines
@pytest.mark.parametrize("distribution", Distribution)
def test_what_an_operator_brings_is_seen_where_the_settings_say(
    engine: Engine, distribution: Distribution
) -> None:
    described = Description(engine=engine, secrets="/srv/k/secrets")
    said = told(described)["pod"]
    assert {said[each.setting] for each in engine.brought} == {
        f"/etc/kleidi/{engine.name}/{each.name}" for each in engine.brought
    }
    texts = files(distribution, described)
    if "pod.yaml" in texts:
        spec = read(texts["pod.yaml"])["spec"]
        volumes = {volume["name"]: volume.get("hostPath") for volume in spec["volumes"]}
        mounts = {m["mountPath"]: (volumes[m["name"]], m) for m in spec["containers"][0]["volumeMounts"]}
        assert mounts["/etc/kleidi"][0]["path"] == "/srv/k/secrets"
        for path in engine.shown:
            assert mounts[path][0] == {"path": path, "type": "Directory"}
            assert mounts[path][1]["readOnly"] is True
        assert spec["containers"][0]["securityContext"]["privileged"] is False
    if "kleidi.container" in texts:
        lines = {value for _, key, value in unit(texts["kleidi.container"]) if key == "Volume"}
        assert lines >= {"/srv/k/secrets:/etc/kleidi:Z", *(f"{path}:{path}:ro" for path in engine.shown)}
    if distribution is Distribution.KIND:
        [first] = read(texts["cluster.yaml"])["nodes"]
        mounted = {(m["hostPath"], m["containerPath"]): m["readOnly"] for m in first["extraMounts"]}
        assert mounted[f"./{engine.name}", f"/srv/k/secrets/{engine.name}"] is True
        assert all(mounted[path, path] is True for path in engine.shown)
    if "compose.yaml" in texts:
        lines = set(read(texts["compose.yaml"])["services"]["kleidi"]["volumes"])
        more = {f"{path}:{path}:ro" for path in engine.shown}
        assert lines >= {f"./{engine.name}:/etc/kleidi/{engine.name}:ro", *more}


@pytest.mark.parametrize("distribution", Distribution)
def test_softhsm_is_the_default_and_to_name_it_changes_no_text(distribution: Distribution) -> None:
    described = Description(Role.FIRST)
    assert files(distribution, replace(described, engine=Engine(told=True))) == files(distribution, described)


@pytest.mark.parametrize(
    "address",
    [
        "http://a:8200",
        "a:8200",
        "https://",
        "https://a b",
        "https://a/v1",
        "https://u@a",
        "https://$a",
        "https://a,b",
    ],
)
def test_an_address_that_is_not_https_or_not_plain_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not like"):
        Transit(addresses=(address,))


@pytest.mark.parametrize(
    "token", ["cluster", "label=", "label=a b", "label=a;label=$b", "label=a;serial", 'label="', "label=a;"]
)
def test_a_token_that_a_manifest_could_not_name_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"is not like|otherwise"):
        Pkcs11(module="/opt/hsm/lib.so", names=token)


@pytest.mark.parametrize(
    "directory",
    [
        "/",
        "/opt",
        "/opt/kleidi",
        "/etc/kleidi",
        "/etc/kleidi/pkcs11",
        "/run/kleidi",
        "/usr/lib/x",
        "/dev/bus",
        "opt/x",
    ],
)
def test_a_directory_that_would_hide_or_show_something_is_refused(directory: str) -> None:
    with pytest.raises(ValueError, match=r"hide|too much|absolute|otherwise"):
        Pkcs11(module="/opt/hsm/lib.so", names="label=k", directories=(directory,))


def test_a_library_shares_no_directory_with_what_is_ours() -> None:
    with pytest.raises(ValueError, match="apart from /srv/k/volume"):
        Description(volume="/srv/k/volume", engine=Pkcs11(module="/srv/k/volume/lib.so", names="label=k"))


def test_a_library_of_the_image_or_below_a_directory_that_is_named_needs_no_other() -> None:
    assert Pkcs11(module="/usr/lib/p11-kit-client.so", names="label=k").shown == ()
    named = Pkcs11(module="/opt/hsm/lib/a.so", names="label=k", directories=("/opt/hsm", "/run/p11-kit"))
    assert named.shown == ("/opt/hsm", "/run/p11-kit")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--transit-address", "https://a"], "E-COMMAND-LINE"),
        (["--engine", "pkcs11", "--transit-auth", "cert"], "E-COMMAND-LINE"),
        ([*TRANSIT_WORDS, "--pkcs11-token", "label=k"], "E-COMMAND-LINE"),
        (["--engine", "transit"], "E-INSTALL-VALUE"),
        (["--engine", "pkcs11", "--pkcs11-module", "/opt/hsm/lib.so"], "E-INSTALL-VALUE"),
        ([*TRANSIT_WORDS, "--transit-address", TRANSIT_WORDS[-1]], "E-INSTALL-VALUE"),
    ],
    ids=str,
)
def test_half_an_engine_is_refused_in_one_line(tmp_path: Path, words: list[str], code: str) -> None:
    for verb in (["manifests", "kubeadm"], ["install", "--first", "--root", str(tmp_path)]):
        done = kleidi(*verb, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"kleidi: {code}: ")
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@needs_root
@pytest.mark.parametrize("user", User)
@pytest.mark.parametrize("role", ["--first", "--join"])
@pytest.mark.parametrize("distribution", layout.INSTALLABLE)
def test_an_installation_names_what_it_does_not_make(
    tmp_path: Path, distribution: Distribution, role: str, user: User
) -> None:
    uid = 0 if user is User.ROOT else IMAGE_USER
    words = (role, "--user", user, "--distribution", distribution, "--root", tmp_path)
    done = kleidi("install", *words, *TRANSIT_WORDS)
    assert done.returncode == 0, done.stderr
    assert f"Put into /etc/kleidi/transit, owned by user {uid}:\n" in done.stdout
    for name, mode in (("ca.crt", "0444"), ("role-id", "0400"), ("secret-id", "0400")):
        assert [mode in line for line in done.stdout.splitlines() if f"  {name} " in line] == [True]
    assert "may be --first: each takes up the Transit key" in done.stdout
    found = {path: seen[:2] for path, seen in snapshot(tmp_path).items() if path.startswith("etc/kleidi")}
    assert found == {
        "etc/kleidi": (0o700, uid),
        "etc/kleidi/seal.key": (0o400, uid),
        "etc/kleidi/transit": (0o700, uid),
    }


@needs_root
def test_an_installation_for_a_module_names_the_pin_and_what_is_shown(tmp_path: Path) -> None:
    done = kleidi("install", "--first", "--distribution", "kubeadm", "--root", tmp_path, *PKCS11_WORDS)
    assert "Put into /etc/kleidi/pkcs11, owned by user 0:\n  pin 0400 " in done.stdout
    assert "/opt/hsm is shown to the appliance, read-only.\n" in done.stdout
    assert list((tmp_path / "etc/kleidi/pkcs11").iterdir()) == []


@needs_root
@engines
def test_an_upgrade_that_says_nothing_of_it_keeps_the_engine(tmp_path: Path, engine: Engine) -> None:
    for distribution in (Distribution.KUBEADM, Distribution.PODMAN):
        root = tmp_path / distribution
        install(root, Description(Role.FIRST, engine=engine), distribution)
        before = (root / (QUADLET if distribution is Distribution.PODMAN else POD)).read_text()
        upgrade = Description(Role.FIRST, image="localhost/kleidi:2")
        [step] = install(root, upgrade, distribution)
        assert "without" not in step
        after = (root / (QUADLET if distribution is Distribution.PODMAN else POD)).read_text()
        if distribution is Distribution.KUBEADM:
            old, new = (read(text)["spec"] for text in (before, after))
            old["containers"][0]["image"] = new["containers"][0]["image"]
            assert new == old
        else:
            changed = set(unit(before)) ^ set(unit(after))
            assert {key for _, key, _ in changed} == {"Image"}
        assert install(root, upgrade, distribution) == []


@needs_root
def test_to_name_softhsm_ends_what_makes_new_keys_and_keeps_the_way_to_the_old_ones(tmp_path: Path) -> None:
    install(tmp_path, Description(Role.FIRST, engine=TRANSIT))
    before = environment(tmp_path)
    [step] = install(tmp_path, Description(Role.FIRST, engine=Engine(told=True)))
    assert "without: spec.containers[kleidi].env[KLEIDI_ENGINE]" in step
    del before["KLEIDI_ENGINE"]
    assert environment(tmp_path) == before


@needs_root
def test_another_way_to_log_in_leaves_no_file_of_the_one_before(tmp_path: Path) -> None:
    assert isinstance(TRANSIT, Transit)
    install(tmp_path, Description(Role.FIRST, engine=TRANSIT))
    edited(tmp_path / POD, ("\n    securityContext:\n", f"\n{MORE}"))
    cert = replace(TRANSIT, auth=Auth.CERT)
    install(tmp_path, Description(Role.FIRST, engine=cert))
    found = environment(tmp_path)
    assert {name for name in found if "TRANSIT" in name} == {
        "KLEIDI_TRANSIT_ADDRESSES",
        "KLEIDI_TRANSIT_AUTH",
        "KLEIDI_TRANSIT_CA_FILE",
        "KLEIDI_TRANSIT_CERT_FILE",
        "KLEIDI_TRANSIT_KEY_FILE",
        "KLEIDI_TRANSIT_NAMESPACE",
    }


MORE = "    - {name: KLEIDI_TRANSIT_NAMESPACE, value: team}\n    securityContext:\n"


@needs_root
def test_a_library_that_moves_leaves_no_mount_of_the_one_before(tmp_path: Path) -> None:
    assert isinstance(PKCS11, Pkcs11)
    install(tmp_path, Description(Role.FIRST, engine=PKCS11))
    moved = replace(PKCS11, module="/opt/other/lib.so")
    install(tmp_path, Description(Role.FIRST, engine=moved))
    mounts = {mount["mountPath"]: mount["name"] for mount in container(tmp_path)["volumeMounts"]}
    assert "/opt/hsm/lib" not in mounts
    volumes = read((tmp_path / POD).read_text())["spec"]["volumes"]
    assert {"name": mounts["/opt/other"], "hostPath": {"path": "/opt/other", "type": "Directory"}} in volumes


@needs_root
def test_another_user_gets_what_was_brought(tmp_path: Path) -> None:
    install(tmp_path, Description(Role.FIRST, engine=TRANSIT))
    (tmp_path / "etc/kleidi/transit/secret-id").write_text("x")
    install(tmp_path, Description(Role.FIRST, User.NONROOT))
    owners = {path: owner for path, (_, owner, _) in snapshot(tmp_path / "etc/kleidi").items()}
    assert owners == dict.fromkeys(["seal.key", "transit", "transit/secret-id"], IMAGE_USER)


@needs_root
@pytest.mark.parametrize("name", [EngineName.TRANSIT, EngineName.PKCS11])
def test_a_file_of_that_name_is_no_concern_of_a_node_without_it(tmp_path: Path, name: EngineName) -> None:
    (tmp_path / "etc/kleidi").mkdir(parents=True)
    (tmp_path / "etc/kleidi" / name).write_text("a token")
    install(tmp_path)
    assert (tmp_path / "etc/kleidi" / name).read_text() == "a token"


def install_for(address: str, root: Path) -> None:
    words = ("--first", "--user", "nonroot", "--distribution", "kubeadm", "--root", root)
    done = kleidi("install", *words, "--engine", "transit", "--transit-address", address)
    assert done.returncode == 0, done.stderr


def bring(root: Path, role: AppRole, authority: Authority) -> None:
    """What an operator does once it was installed."""
    brought = {
        "ca.crt": (authority.certificate.read_text(), 0o444),
        "role-id": (role.role_id, 0o400),
        "secret-id": (role.secret_id, 0o400),
    }
    for name, (text, mode) in brought.items():
        path = root / "etc/kleidi/transit" / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, IMAGE_USER, IMAGE_USER)


@needs_root
def test_two_first_nodes_come_to_one_key_with_what_they_were_brought(tmp_path: Path) -> None:
    """With the pod's own settings and rights; the second one is started before it was brought anything."""
    ahead, behind = roots = [make_root(), make_root()]
    authority = Authority(tmp_path / "ca")
    try:
        with single(tmp_path / "bao", authority) as server:
            server.policy("kms", policy(Access()))
            for root in roots:
                install_for(server.address, root)
                (root / "scratch").mkdir()
            bring(ahead, server.approle("kms"), authority)
            with Shipped(ahead / "scratch", ahead) as appliance:
                appliance.start()
                key = appliance.wait_ready()
            with Shipped(behind / "scratch", behind) as appliance:
                appliance.start()
                until(lambda: "E-TRANSIT-" in appliance.run("status").stdout, "it says what it lacks")
                bring(behind, server.approle("kms"), authority)
                assert appliance.wait_ready() == key
    finally:
        for root in roots:
            shutil.rmtree(root)
