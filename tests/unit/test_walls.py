"""Every wall in pyproject.toml stands: an import planted across it is told by the wall's name."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = str(Path(sys.executable).with_name("lint-imports"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {contract["name"] for contract in CONTRACTS}
PROTECTED = {contract["name"] for contract in CONTRACTS if contract["type"] == "protected"}

STRANGERS = "The appliance stands on two strangers"
ONE_WAY = "Data flows one way through the appliance"
PKCS11 = "Only softhsm speaks PKCS#11"
SOFTHSM = "Only its engines know softhsm"
ANY_MODULE = "Only its own room and engine know the room for any PKCS#11 module"
DEVICE = "Only its engine and its slot use the operator's token"
NO_SOFTHSM = "Any PKCS#11 module needs nothing of SoftHSM"
ENGINE = "Only the assembly knows the engines"
TPM = "Only its slot knows the TPM"
TRANSIT = "Only who keeps something there knows the Transit server"
METRICS = "Only what writes metrics loads their library"
HTTP = "Only Transit calls out by HTTP"
TLS = "Only who meets a certificate knows TLS"
GRPC = "Only the ends of a wire speak gRPC"
PROTOBUF = "Only who reads foreign bytes knows Protobuf"
ADMIN = "Only server and client know the admin service"
KMS = "Only one module knows KMS v2"
RUNBOOK = "Only who explains knows the runbook"
ETCD = "Only who reads etcd knows its messages"
STORED = "Only one module knows what the API server stores"
NO_GRPC = "What speaks no gRPC loads none"
COUNTING = "Counting needs no gRPC, only etcd does"
PURE = "The core is pure"

# By whom, what, and every wall that it breaks.
BREACHES = [
    ("softhsm/token.py", "appliance.faults", {STRANGERS}),
    ("appliance/volume/durable.py", "appliance.ops.operations", {ONE_WAY}),
    ("appliance/engines/softhsm/engine.py", "PyKCS11", {PKCS11}),
    ("appliance/ops/advice.py", "softhsm", {SOFTHSM}),
    ("appliance/cli/keys.py", "softhsm", {SOFTHSM}),
    ("appliance/cli/keys.py", "softhsm.pkcs11.device", {SOFTHSM, ANY_MODULE}),
    ("appliance/engines/softhsm/engine.py", "softhsm.pkcs11.device", {ANY_MODULE}),
    ("appliance/cli/keys.py", "appliance.pkcs11", {DEVICE}),
    ("softhsm/pkcs11/module.py", "softhsm.errors", {NO_SOFTHSM}),
    ("appliance/engines/pkcs11/engine.py", "softhsm.module", {NO_SOFTHSM}),
    ("appliance/pkcs11/connection.py", "softhsm.module", {NO_SOFTHSM}),
    ("appliance/cli/keys.py", "appliance.engines", {ENGINE}),
    ("appliance/cli/keys.py", "appliance.tpm.sealed", {TPM}),
    ("appliance/tpm/wire.py", "appliance.faults", {ONE_WAY}),
    ("appliance/cli/keys.py", "appliance.transit.client", {TRANSIT}),
    ("appliance/service/metrics/scrape.py", "prometheus_client", {METRICS}),
    ("appliance/cli/keys.py", "http.client", {HTTP}),
    ("appliance/cli/keys.py", "ssl", {TLS}),
    ("appliance/cli/keys.py", "grpc", {GRPC}),
    ("appliance/service/keeper.py", "grpc", {GRPC}),
    ("appliance/cli/keys.py", "google.protobuf.message", {PROTOBUF}),
    ("appliance/cli/keys.py", "proto.admin.admin_pb2", {ADMIN}),
    ("appliance/service/keeper.py", "proto.kmsv2.api_pb2", {KMS}),
    ("appliance/service/keeper.py", "appliance.runbook", {RUNBOOK}),
    ("appliance/cli/usage.py", "proto.etcd.kv_pb2", {ETCD}),
    ("appliance/usage/counting.py", "proto.storage.encrypted_object_pb2", {STORED}),
    ("appliance/settings/table.py", "appliance.client.admin", {NO_GRPC}),
    ("appliance/usage/counting.py", "appliance.usage.etcd", {COUNTING}),
    ("appliance/usage/proof.py", "time", {PURE}),
    ("appliance/usage/proof.py", "appliance.regular", {PURE}),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their walls, to plant in."""
    copy = tmp_path_factory.mktemp("tree")
    for package in ("appliance", "softhsm", "proto"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken(tree: Path) -> set[str]:
    command = [LINT, "--no-logo", "--no-cache"]
    said = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60, check=False)
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", said.stdout, re.MULTILINE))
    assert verdicts.keys() == NAMES, said.stdout + said.stderr
    assert said.returncode == ("BROKEN" in verdicts.values())
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


def test_every_wall_is_tried() -> None:
    assert set().union(*(walls for _, _, walls in BREACHES)) == NAMES


def test_the_tree_as_it_is_breaks_none(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize(("module", "imported", "walls"), BREACHES)
def test_a_planted_import_is_told(tree: Path, module: str, imported: str, walls: set[str]) -> None:
    plain = (tree / module).read_text()
    try:
        (tree / module).write_text(f"{plain}\nimport {imported}\n")
        assert broken(tree) == walls
    finally:
        (tree / module).write_text(plain)


def test_a_new_room_may_none_of_it(tree: Path) -> None:
    guarded = {module for contract in CONTRACTS for module in contract.get("protected_modules", ())}
    room = tree / "appliance" / "lobby"
    room.mkdir()
    try:
        (room / "__init__.py").write_text("".join(f"import {module}\n" for module in sorted(guarded)))
        assert broken(tree) == PROTECTED | {ONE_WAY}
    finally:
        shutil.rmtree(room)
