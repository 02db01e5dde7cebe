"""docs/vault.md does what it says: its blocks are run in order beside a server that has nothing yet."""

from pathlib import Path

from tests.docs.pages import DOCS, run, to_run, without_settings
from tests.rig import BIN
from tests.transit.openbao import Node
from tests.usage.authority import Authority

PAGES = [DOCS / "vault.md"]


def test_its_commands_run(tmp_path: Path) -> None:
    blocks = to_run(PAGES[0])
    assert len(blocks) == 5
    node = Node(tmp_path / "bao", Authority(tmp_path / "ca"))
    reader = tmp_path / "reader"
    reader.mkdir()
    try:
        node.start()
        node.setup()
        environment = without_settings()
        environment |= {
            "PATH": f"{BIN}:{environment['PATH']}",
            "HOME": str(reader),
            "BAO_ADDR": node.address,
            "BAO_CACERT": str(node.authority.certificate),
            "BAO_TOKEN": node.root,
            "KLEIDI_ENGINE": "transit",
            "KLEIDI_TRANSIT_ADDRESSES": node.address,
            "KLEIDI_TRANSIT_CA_FILE": str(node.authority.certificate),
            "KLEIDI_TRANSIT_AUTH": "approle",
            "KLEIDI_TRANSIT_ROLE_ID_FILE": str(reader / "role-id"),
            "KLEIDI_TRANSIT_SECRET_ID_FILE": str(reader / "secret-id"),
        }
        *_, shown, checked, rotated = run(blocks, reader, environment)
    finally:
        node.end()
    assert "would do: directory node/etc/kleidi/transit 0700 of user 0" in shown
    assert shown.rstrip().endswith('value: "/etc/kleidi/transit/secret-id"')
    assert "failed" not in checked + rotated
    assert "warning" not in checked
    assert "latency" in checked
    assert rotated.startswith("transit/kleidi has version 2 now")
    assert not (reader / "operator-token").exists()
