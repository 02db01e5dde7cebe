"""What is in the image, what is not, and what it needs to run."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine import Engine
from tests.container.pod import IMAGE

MOST_UNPACKED = 150e6
MOST_COMPRESSED = 50e6
# Names of what builds, installs, or gives somebody who got in something to work with.
UNWANTED = re.compile(
    r"bin/(pip|gcc|g\+\+|cc|make|apt|dpkg|perl|bash|dash|sh|busybox|curl|wget|openssl|gdb)[-\d.]*$"
    r"|/(pip|setuptools|ensurepip|tests?|\.git|\.cache)(/|$)|\.(seal|key|h|a)$|pip\.conf$"
)
# A key, not just the words that begin one: cryptography's parsers hold those.
KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}")
PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
SMALLEST_LAYER = 64_000  # what is smaller is a manifest


@pytest.fixture(scope="module")
def files(engine: Engine) -> Iterator[tarfile.TarFile]:
    """The root file system of a container that never ran."""
    container = engine.run("create", "--network", "none", IMAGE)
    try:
        engine.run("export", "--output", str(engine.root / "files.tar"), container)
    finally:
        engine.run("rm", container)
    with tarfile.open(engine.root / "files.tar") as files:
        yield files


@pytest.fixture(scope="module")
def archive(engine: Engine) -> Path:
    """The image as a registry would hold it."""
    path = engine.root / "image.tar"
    engine.run("save", "--quiet", "--format", "oci-archive", "--output", str(path), IMAGE)
    return path


def _text(files: tarfile.TarFile, name: str) -> str:
    member = files.extractfile(name)
    assert member is not None
    return member.read().decode()


def test_it_is_as_small_as_promised(engine: Engine, archive: Path) -> None:
    unpacked = int(engine.run("image", "inspect", "--format", "{{.Size}}", IMAGE))
    compressed = archive.stat().st_size
    print(f"\n{unpacked / 1e6:.0f} MB unpacked, {compressed / 1e6:.0f} MB compressed")

    assert unpacked < MOST_UNPACKED
    assert compressed < MOST_COMPRESSED


def test_it_holds_nothing_that_it_does_not_need(files: tarfile.TarFile) -> None:
    names = [name for name in files.getnames() if not name.startswith(("dev/", "proc/", "sys/"))]

    assert [name for name in names if UNWANTED.search(name)] == []
    assert not any(member.mode & 0o6000 for member in files), "nothing is set-uid"


def test_every_module_is_compiled_and_no_compiled_file_knows_a_time(files: tarfile.TarFile) -> None:
    """A read-only root cannot catch up on it; PEP 552: flags of 1 are a hash that is not checked."""
    names = set(files.getnames())
    for name in names:
        package, _, module = name.rpartition("/")
        if module.endswith(".py") and "/site-packages/appliance" in package:
            assert any(each.startswith(f"{package}/__pycache__/{module[:-3]}.") for each in names), name
        if name.endswith(".pyc"):
            compiled = files.extractfile(name)
            assert compiled is not None
            assert compiled.read(8)[4:] == b"\1\0\0\0", name


def test_no_layer_and_no_setting_holds_a_secret(engine: Engine, archive: Path) -> None:
    assert not PASSWORD.search(engine.run("image", "inspect", IMAGE))
    assert "KLEIDI_" not in engine.run("image", "inspect", "--format", "{{.Config.Env}}", IMAGE)
    assert "PIP_" not in engine.run("history", "--no-trunc", IMAGE)
    with tarfile.open(archive) as outer:
        for blob in outer:
            if blob.size > SMALLEST_LAYER:
                with tarfile.open(fileobj=outer.extractfile(blob)) as layer:
                    assert [each.name for each in layer if each.isfile() and _holds_key(layer, each)] == []


def _holds_key(layer: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    data = layer.extractfile(member)
    return data is not None and KEY.search(data.read()) is not None


def test_it_says_what_it_is(engine: Engine) -> None:
    found = json.loads(engine.run("image", "inspect", IMAGE))[0]["Config"]

    assert found["User"] == "10001:10001"
    assert found["Entrypoint"] == ["/opt/kleidi/bin/python", "-m", "appliance.boot"]
    assert found["StopSignal"] in {"SIGTERM", "15"}
    assert not found.get("Volumes")
    labels = found["Labels"]
    for name in ("title", "description", "licenses", "version", "revision", "created", "base.name"):
        assert f"org.opencontainers.image.{name}" in labels
    version = "run", "--rm", "--network", "none", "--entrypoint", "kleidi", IMAGE, "version"
    told = json.loads(engine.run(*version, "-o", "json"))
    for name in ("version", "revision", "created"):
        assert told[name] == labels[f"org.opencontainers.image.{name}"]
    assert told["softhsm"]
    assert all(told["libraries"].values())
    assert engine.run(*version).startswith(f"kleidi {told['version']}")


def test_it_lists_what_it_consists_of(files: tarfile.TarFile) -> None:
    bill = json.loads(_text(files, "usr/share/kleidi/sbom.cdx.json"))
    named = {component.get("purl", "").split("@")[0] for component in bill["components"]}
    licences = _text(files, "usr/share/kleidi/licences.txt")

    assert bill["bomFormat"] == "CycloneDX"
    for package in ("grpcio", "protobuf", "pykcs11", "cryptography", "supervisor", "pydantic-settings"):
        assert f"pkg:pypi/{package}" in named
        assert re.search(rf"^{package} [\d.]+: ", licences, re.MULTILINE)
    installed = re.findall(r"^Package: (.*)$", _text(files, "var/lib/dpkg/status"), re.MULTILINE)
    assert "libsofthsm2" in installed
    for package in installed:
        assert f"pkg:deb/debian/{package.replace('+', '%2B')}" in named
        assert f"usr/share/doc/{package}/copyright" in files.getnames()
        assert f"\n{package} " in licences


def test_it_runs_on_named_volumes_without_a_network(engine: Engine) -> None:
    """What `make up` does: a fresh named volume takes over the owner of the directory that it hides."""
    volumes = [
        f"--volume=test-{name}:{path}"
        for name, path in (
            ("volume", "/var/lib/kleidi"),
            ("etc", "/etc/kleidi"),
            ("run", "/run/kleidi"),
            ("admin", "/run/kleidi-admin"),
        )
    ]
    container = engine.run(
        "run",
        "--detach",
        "--network",
        "none",
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop",
        "all",
        "--security-opt",
        "no-new-privileges",
        "--env",
        "KLEIDI_PROVISION=auto",
        *volumes,
        IMAGE,
    )
    try:
        print("\n" + engine.run("exec", container, "kleidi", "status", "--wait", "60"))
    finally:
        engine.run("rm", "--force", "--time", "0", container)
        engine.run("volume", "rm", *(each.removeprefix("--volume=").split(":")[0] for each in volumes))
