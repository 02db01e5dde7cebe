"""A bundle that an earlier version made is opened, proved and restored by every later one.

The identity beside it is a throw-away, made for this file and kept in the open: it protects nothing.
"""

import json
from pathlib import Path

from appliance.age.key_pairs import Identities
from appliance.backup.bundle import make
from appliance.backup.restore import Restorer
from appliance.backup.verify import examine
from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.engine import SOFTHSM
from appliance.keys.engines import Engines
from appliance.keys.keyring import Keyring
from appliance.keys.keyset import KeyState
from appliance.volume.opening import Opened
from tests.volume.house import House

GOLDEN = Path(__file__).parent / "golden"


def restored(house: House, engine: SoftHsmEngine) -> Opened:
    identity = Identities.parse((GOLDEN / "TEST-ONLY-identity.txt").read_text())
    found = examine(
        (GOLDEN / "bundle-v1.age").read_bytes(), identity, Engines.of(softhsm=engine), house.memory
    )
    restorer = Restorer(house.committer(engine), allow_unmounted=True, by="0:1")
    done = restorer.run(found.header, found.payload, source="golden", dry_run=False)
    assert done is not None
    return done.opened


def test_it_is_restored_and_its_keys_open_what_they_encrypted(house: House, engine: SoftHsmEngine) -> None:
    opened = restored(house, engine)
    assert (opened.header.lineage, opened.header.generation) == ("901de4901de4", 3)
    assert [key.state for key in opened.payload.keyset.keys] == [KeyState.RETIRED, KeyState.PRIMARY]
    (house.memory / "token").mkdir(mode=0o700)
    engine.open(house.memory / "token", opened.payload.state(SOFTHSM))
    keyring = Keyring(opened.payload.keyset, {SOFTHSM: engine})
    golden = json.loads((GOLDEN / "envelopes.json").read_text())
    for each in golden["envelopes"]:
        plaintext = keyring.unwrap(each["key_id"], bytes.fromhex(each["envelope"]))
        assert plaintext == golden["plaintext"].encode()


def test_a_bundle_of_the_restored_volume_holds_the_same_keys(house: House, engine: SoftHsmEngine) -> None:
    opened = restored(house, engine)
    own = Identities.generate()
    again = make(opened.payload, opened.header, own.recipients)
    assert (
        examine(again, own, Engines.of(softhsm=engine), house.memory).payload.keyset.hash
        == opened.payload.keyset.hash
    )
