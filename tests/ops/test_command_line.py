"""What an administrator sees: texts, JSON, one line for a refusal, exit codes by the table."""

import json
import re
import time

import pytest

from appliance.faults import Exit
from appliance.ops.advice import after
from appliance.ops.operations import Verb
from appliance.volume.ledger import Ledger
from tests.ops.shop import Node, Shop


def test_a_key_list_of_a_stopped_server_has_the_counts_of_the_ledger(node: Node) -> None:
    keyset = node.storage().open().keyset
    ledger = Ledger(node.volume / "ledger.json")
    ledger.take_up(keyset)
    ledger.wrapped(keyset.primary.id)
    ledger.unwrapped(keyset.primary.id)
    ledger.unwrapped(keyset.primary.id)
    ledger.save()
    (row,) = json.loads(node.kleidi("key", "list", "-o", "json").stdout)["keys"]
    assert (row["wrapped"], row["unwrapped"]) == (1, 2)
    # Born when the volume was provisioned.
    assert abs(row["since"] - time.time()) < 24 * 3600


def test_a_life_from_the_command_line(node: Node) -> None:
    rotated = node.kleidi("key", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    assert "v2/" in rotated.stdout
    assert "What remains to be done" in rotated.stdout
    listed = json.loads(node.kleidi("key", "list", "-o", "json").stdout)
    assert listed["schema"] == "kleidi.key-list/v1"
    assert [row["state"] for row in listed["keys"]] == ["retired", "primary"]

    unsure = node.kleidi("key", "check", "v1")
    assert unsure.returncode == Exit.REFUSED
    assert "UNKNOWN  nothing stored" in unsure.stdout
    sure = json.loads(node.kleidi("key", "check", "v1", "--stored", "0", "-o", "json").stdout)
    # What `destroy` would say: not before it is disabled.
    assert (sure["may_disable"], sure["may_destroy"]) == (True, False)
    assert sure["destroy_why"].startswith("E-KEY-STATE: ")

    changed = json.loads(node.kleidi("key", "disable", "v1", "--stored", "0", "-o", "json").stdout)
    assert (changed["schema"], changed["key"]["state"]) == ("kleidi.change/v1", "disabled")
    gone = json.loads(node.kleidi("key", "check", "v1", "--stored", "0", "-o", "json").stdout)
    assert (gone["may_disable"], gone["may_destroy"]) == (False, True)
    assert gone["destroy_why"].startswith("without regard to 'new key in use' (FAIL)")
    refused = node.kleidi("key", "destroy", "v1", "--key-id", "v1", "--stored", "0")
    assert (refused.returncode, refused.stdout) == (Exit.REFUSED, "")
    (line,) = refused.stderr.splitlines()
    assert "E-KEY-ID-MISMATCH" in line

    assert node.kleidi("audit", "verify").stdout.startswith("ok, 8 entries")
    tail = node.kleidi("audit", "tail", "-n", "1").stdout
    assert re.search(r" disable +done +\d+ +\d+:\d+ +kleidi/", tail)
    fields = json.loads(node.kleidi("audit", "verify", "-o", "json").stdout)
    assert {
        "schema": "kleidi.audit-verify/v1",
        "ok": True,
        "entries": 8,
        "first": 1,
    }.items() <= fields.items()


def test_a_count_that_is_no_proof_says_why(node: Node) -> None:
    node.kleidi("key", "rotate")
    fields = {"schema": "kleidi.usage/v1", "key_id": "", "complete": True, "whole_cluster": True}
    document = node.root / "usage.json"
    count = "--usage", str(document)
    document.write_text(json.dumps({**fields, "damaged": 0, "rows": [], "whole_cluster": False}))
    told = "not a whole cluster was counted, for there is no namespace in it"
    assert f"UNKNOWN  nothing stored  {told}\n" in node.kleidi("key", "check", "v1", *count).stdout

    document.write_text(json.dumps({**fields, "damaged": 2, "rows": []}))
    told = "2 objects could not be read"
    checked = node.kleidi("key", "check", "v1", *count)
    assert checked.returncode == Exit.REFUSED
    assert f"UNKNOWN  nothing stored  {told}\n" in checked.stdout
    (line,) = node.kleidi("key", "disable", "v1", *count).stderr.splitlines()
    assert "E-KEY-IN-USE" in line
    assert told in line

    document.write_text(json.dumps({**fields, "damaged": 0, "rows": []}))
    assert node.kleidi("key", "disable", "v1", *count).returncode == 0


def test_what_check_asks_for_is_something_that_it_takes(node: Node) -> None:
    unsure = node.kleidi("key", "check", "v1").stdout
    assert "--usage" in unsure
    assert "etcd's address" not in unsure


def test_a_count_that_cannot_be_read_says_so(node: Node) -> None:
    (line,) = node.kleidi("key", "check", "v1", "--usage", str(node.root / "nothing")).stderr.splitlines()
    assert line.startswith("kleidi: E-INPUT-UNREADABLE: ")
    assert "E-USAGE-INVALID" in node.kleidi("key", "check", "v1", "--usage", "/dev/zero").stderr


def test_a_broken_audit_log_ends_with_its_own_code(node: Node) -> None:
    node.kleidi("key", "stage")
    log = node.volume / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"begin", b"began"))
    broken = node.kleidi("audit", "verify")
    assert broken.returncode == Exit.INTEGRITY
    assert broken.stderr.startswith("kleidi: E-AUDIT-BROKEN: ")


def test_force_without_a_reason_is_wrong_usage(node: Node) -> None:
    refused = node.kleidi("key", "disable", "v1", "--force")
    assert refused.returncode == Exit.USAGE
    assert "--reason" in refused.stderr


@pytest.mark.parametrize(
    "verb", [verb for verb in Verb if verb not in (Verb.RETIRE, Verb.ENABLE, Verb.ADOPT, Verb.DISCOVER)]
)
def test_advice_names_the_next_command(verb: Verb) -> None:
    lines = after(verb, "v7")
    assert lines[0] == ""
    assert "kleidi " in "\n".join(lines) or verb is Verb.DESTROY


def test_nothing_is_advised_where_nothing_remains(shop: Shop) -> None:
    assert shop.keyset
    assert [after(verb, "v7") for verb in (Verb.RETIRE, Verb.ENABLE, Verb.ADOPT, Verb.DISCOVER)] == [[]] * 4


def test_what_is_destroyed_elsewhere_is_somebody_elses_to_take_away() -> None:
    assert "trim" in "\n".join(after(Verb.DESTROY, "v7", "transit"))
    assert "device" in "\n".join(after(Verb.DESTROY, "v7", "pkcs11"))
