"""Changes to a token at rest: each on a copy in memory, in a process of its own, away from the open one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance import faults
from appliance.engines.softhsm import child
from appliance.engines.softhsm.image import TokenImage
from appliance.faults import Fault, KleidiError
from appliance.keys import key_id
from appliance.keys.engine import Adoption, EngineState, Made
from appliance.keys.envelope import NONCE_SIZE
from appliance.keys.found import FoundToken
from appliance.volume import memory

LABEL = "kleidi"
_PROBE = {
    "nonce": key_id.PROBE_NONCE.hex(),
    "plaintext": key_id.PROBE_PLAINTEXT.hex(),
    "aad": key_id.PROBE_AAD.hex(),
}
_IN_PLAINTEXT = "the old token holds this key in plaintext (CKA_PRIVATE false): whoever had its files has it"


def made(image: TokenImage, object_id: str, answer: bytes) -> Made:
    """*answer* is what the key makes of the probe: the same each time, so it is what the key is known by."""
    return Made(image.to_state(), object_id, key_id.PROBE_NONCE + answer, print_source=answer)


def extended(module: Path | None, scratch: Path, image: TokenImage, object_id: str) -> Made:
    """With one more key of that name; it must be free."""
    tokens = _scratch_copy(scratch, image)
    order = {"generate": [{"object_id": object_id, "label": LABEL}], "destroy": []}
    answer = _forge(module, tokens, image, order)
    changed = replace(image, files=memory.collect(tokens))
    return made(changed, object_id, bytes.fromhex(answer["ciphertexts"][object_id]))


def reduced(module: Path | None, scratch: Path, image: TokenImage, object_id: str) -> EngineState:
    """Without the key of that name; an adopted key goes with its whole token."""
    adopted_serial, slash, _ = object_id.partition("/")
    if slash:
        gone = _adopted_directory(adopted_serial)
        files = {name: data for name, data in image.files.items() if not name.startswith(gone)}
        pins = {serial: pin for serial, pin in image.adopted_pins.items() if serial != adopted_serial}
        return replace(image, files=files, adopted_pins=pins).to_state()
    tokens = _scratch_copy(scratch, image)
    _forge(module, tokens, image, {"generate": [], "destroy": [object_id]})
    return replace(image, files=memory.collect(tokens)).to_state()


def proved(module: Path | None, scratch: Path, image: TokenImage, known_answers: Mapping[str, bytes]) -> None:
    """The token must hold the keys of *known_answers*, by object id, and no others."""
    tokens = scratch / "trial"
    memory.unpack(image.files, tokens)
    expected: dict[str, list[dict[str, str]]] = {serial: [] for serial in image.pins}
    for object_id, body in known_answers.items():
        serial, slash, name = object_id.partition("/")
        if body[:NONCE_SIZE] != key_id.PROBE_NONCE or (slash and serial not in expected):
            raise KleidiError(faults.TRIAL_FAILED, f"key {object_id} is none of this token")
        known = {
            "object_id": name if slash else object_id,
            **_PROBE,
            "ciphertext": body[NONCE_SIZE:].hex(),
        }
        expected[serial if slash else image.serial].append(known)
    tokens_expected = [
        {"serial": serial, "user_pin": image.pins[serial], "keys": keys} for serial, keys in expected.items()
    ]
    _child(module, "softhsm.trial", tokens, {"tokens_expected": tokens_expected})


def adopted(module: Path | None, scratch: Path, state: EngineState, found: FoundToken) -> Adoption:
    """The found token beside ours. Raises E-TOKEN-NOT-ADOPTED, and E-KEY-ADOPTED-ALREADY."""
    if not state:
        raise KleidiError(faults.TOKEN_NOT_ADOPTED, "there is no token of ours that it could lie beside")
    image = TokenImage.from_state(state)
    tokens = scratch / "survey"
    memory.lay_out(found.files, tokens)
    question = {"label": found.token_label or None, "user_pin": found.pin, "key_label": found.key_label}
    asked = {**question, "probe": _PROBE}
    answer = _child(module, "softhsm.survey", tokens, asked, faults.TOKEN_NOT_ADOPTED)
    serial = answer["serial"]
    if serial in image.pins:
        raise KleidiError(faults.KEY_ADOPTED_ALREADY, f"token {serial}")
    # Its directory gets a name of ours: SoftHSM takes any, and two that were renamed could have the same.
    theirs, ours = f"{answer['directory']}/", _adopted_directory(serial)
    files = {
        ours + name.removeprefix(theirs): data
        for name, data in found.files.items()
        if name.startswith(theirs)
    }
    changed = replace(
        image,
        files={**image.files, **files},
        adopted_pins={**image.adopted_pins, serial: found.pin},
    )
    private = all(key["private"] for key in answer["keys"] if key["label"] == found.key_label)
    taken = made(changed, f"{serial}/label:{found.key_label}", bytes.fromhex(answer["probe"]["ciphertext"]))
    return Adoption(taken, "" if private else _IN_PLAINTEXT)


def _adopted_directory(serial: str) -> str:
    return f"adopted-{serial}/"


def _scratch_copy(scratch: Path, image: TokenImage) -> Path:
    tokens = scratch / "forge"
    memory.lay_out(image.files, tokens)
    return tokens


def _forge(
    module: Path | None, tokens: Path, image: TokenImage, order: Mapping[str, object]
) -> dict[str, Any]:
    opening = {"serial": image.serial, "user_pin": image.user_pin}
    return _child(module, "softhsm.forge", tokens, {**opening, "probe": _PROBE, **order})


def _child(
    module: Path | None,
    program: str,
    tokens: Path,
    order: Mapping[str, object],
    fault: Fault = faults.TRIAL_FAILED,
) -> dict[str, Any]:
    named = str(module) if module else None
    return child.run(program, tokens, {"module": named, "tokens": str(tokens), **order}, fault)
