"""What `--output json` prints is what docs/json.md says, field by field."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.documents import Document
from appliance.faults import Exit
from tests.cli.documents import DOCUMENTS, check
from tests.ops.shop import Node
from tests.rig import Appliance

PHRASE = "twelve or more letters"
COUNTED = Path(__file__).parent.parent / "usage" / "dated-key-name.json"


def printed(node: Node | Appliance, *arguments: str) -> str:
    done = (
        node.kleidi(*arguments, "-o", "json")
        if isinstance(node, Node)
        else node.run(*arguments, "-o", "json")
    )
    assert done.stdout, done.stderr
    return done.stdout


def test_every_document_is_listed() -> None:
    def below(kind: type[Document]) -> Iterator[type[Document]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    assert {each for each in below(Document) if "schema" in vars(each)} == set(DOCUMENTS)
    assert len({each.schema for each in DOCUMENTS}) == len(DOCUMENTS)


def test_while_no_server_runs(node: Node) -> None:
    phrase = node.root / "phrase"
    phrase.write_text(PHRASE)
    bundle, how = node.root / "kleidi.age", ("--passphrase-file", str(phrase))
    schemas = [
        check(printed(node, *arguments.split()))["schema"]
        for arguments in (
            "status",
            "key rotate --dry-run",
            "key rotate",
            "key list",
            "key check v1 --stored 0",
            "key disable v1 --stored 0",
            "audit verify",
            "audit tail",
            "anchor show",
            f"slot add --kind passphrase --passphrase-file {phrase}",
            f"slot test passphrase --passphrase-file {phrase}",
            "slot list",
            "slot remove passphrase --dry-run",
            "version",
            f"usage --from-etcdctl {COUNTED}",
        )
    ]
    assert check(printed(node, "backup", "create", str(bundle), *how))["schema"] == "kleidi.backup-create/v1"
    verified = check(printed(node, "backup", "verify", str(bundle), *how, "--against-live"))
    assert (verified["verified"], len(verified["keys"]), verified["live"]["verdict"]) == (2, 2, "MATCHES")
    for generation in node.volume.glob("generation-*"):
        generation.unlink()
    restored = check(printed(node, "backup", "restore", str(bundle), *how, "--dry-run"))
    assert (restored["dry_run"], restored["verified"]) == (True, 2)
    assert len(set(schemas)) == 10


def test_a_dry_run_says_that_it_is_one(node: Node) -> None:
    assert check(printed(node, "key", "stage", "--dry-run"))["dry_run"] is True
    assert check(printed(node, "key", "stage"))["dry_run"] is False


def test_while_the_server_runs(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        appliance.start()
        appliance.wait_ready()
        status = check(printed(appliance, "status"))
        assert (status["state"], len(status["keys"])) == ("OPERATIONAL", 1)
        for verb in ("key list", "key check v1", "key stage", "slot list", "node invite"):
            check(printed(appliance, *verb.split()))


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("key", "promote", "v9"), faults.KEY_NO_SUCH),
        (("key", "rotat"), faults.COMMAND_LINE),
        (("key", "list", "--nonsense"), faults.COMMAND_LINE),
        (("audit", "tail", "-n", "none"), faults.COMMAND_LINE),
        (("backup", "verify", "missing.age"), faults.BACKUP_UNREADABLE),
    ],
)
def test_a_refusal_is_a_document_and_a_line(
    node: Node, arguments: tuple[str, ...], fault: faults.Fault
) -> None:
    done = node.kleidi(*arguments, "-o", "json")
    assert done.returncode == fault.exit
    told = check(done.stdout)
    assert (told["schema"], told["id"], told["exit"]) == ("kleidi.error/v1", fault.id, fault.exit)
    assert (told["message"], told["remedy"]) == (fault.sentence, fault.remedy)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"kleidi: {fault}")
    assert (f" ({told['detail']})" if told["detail"] else "") == line.removeprefix(f"kleidi: {fault}")
    assert node.kleidi(*arguments).stdout == ""


def test_a_value_that_is_none_is_refused_in_one_line(node: Node) -> None:
    done = node.kleidi("key", "list", "-o", "yaml")
    assert done.returncode == Exit.USAGE
    (line,) = done.stderr.splitlines()
    assert line.startswith("kleidi: E-COMMAND-LINE: ")
    assert "'yaml' is not one of" in line
    assert "Value error" not in line


def test_one_field_of_the_status(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        appliance.start()
        key_id = appliance.wait_ready()
        status = json.loads(printed(appliance, "status"))
        for name, value in {
            "key_id": key_id,
            "keyset": status["keyset"],
            "generation": "1",
            "keys.0.state": "primary",
            "backup": "",
            "backup.file": "",
            "reasons": "[]",
        }.items():
            done = appliance.run("status", "--field", name)
            assert (done.returncode, done.stdout) == (0, value + "\n")
        wrong = appliance.run("status", "--field", "keysets")
        assert (wrong.returncode, wrong.stdout) == (Exit.USAGE, "")
        assert "keyset, generation" in wrong.stderr
