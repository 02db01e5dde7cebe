"""Appliances with many keys, without the many rotations; and what each of the keys once encrypted."""

import base64
import json
import os
import secrets
from dataclasses import replace
from pathlib import Path

from appliance.engines.softhsm import SoftHsmEngine, forge
from appliance.engines.softhsm.image import TokenImage
from appliance.keys.engine import SOFTHSM
from appliance.keys.envelope import Envelope, associated_data
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.volume import memory
from appliance.volume.custody import Custody
from appliance.volume.generations import Volume
from appliance.volume.payload import Payload
from appliance.volume.seal import Header, seal, unseal
from tests.rig import Appliance


def newest(appliance: Appliance) -> Payload:
    return _newest(appliance)[1]


def _newest(appliance: Appliance) -> tuple[Header, Payload, Volume]:
    volume = Volume(appliance.volume)
    key = Custody("volume", appliance.volume / "seal.key").load()
    header, content = unseal(volume.read(volume.survey().newest), [key])
    return header, Payload.from_bytes(content), volume


def fill(appliance: Appliance, count: int) -> None:
    """Give the volume of a stopped one a generation of *count* keys, the last of them the primary one."""
    header, payload, volume = _newest(appliance)
    image = TokenImage.from_state(payload.state(SOFTHSM))
    ids = [secrets.token_hex(16) for _ in range(count - 1)]
    with memory.room(appliance.memory / "bench") as scratch:
        tokens = scratch / "fill"
        memory.lay_out(image.files, tokens)
        order = {"generate": [{"object_id": each, "label": "kleidi"} for each in ids], "destroy": []}
        answer = forge._forge(None, tokens, image, order)  # noqa: SLF001  one process for all of them
        state_of_all = replace(image, files=memory.collect(tokens)).to_state()
    keys = [replace(payload.keyset.primary, state=KeyState.RETIRED)]
    for version, each in enumerate(ids, 2):
        state = KeyState.PRIMARY if version == count else KeyState.RETIRED
        made = forge.made(image, each, bytes.fromhex(answer["ciphertexts"][each]))
        keys.append(Key.born(header.lineage, version, state, made))
    filled = replace(payload, keyset=KeySet(header.lineage, tuple(keys)), engines={SOFTHSM: state_of_all})
    sealed = seal(Header(header.lineage, header.generation + 1), filled.to_bytes(), filled.slots)
    with volume.lock():
        volume.commit(header.generation + 1, sealed)


def encrypted(payload: Payload, scratch: Path, size: int) -> str:
    """What Encrypt answered under each of the keys in turn, as the Go caller reads it."""
    engine = SoftHsmEngine()
    with memory.room(scratch) as room:
        engine.open(room, payload.state(SOFTHSM))
        try:
            return json.dumps([_answer(engine, key, size) for key in payload.keyset.keys])
        finally:
            engine.close()


def _answer(engine: SoftHsmEngine, key: Key, size: int) -> dict[str, str]:
    body = engine.wrap(key.object_id, os.urandom(size), associated_data(key.id))
    return {"ciphertext": base64.b64encode(Envelope(body).to_bytes()).decode(), "key_id": key.id}
