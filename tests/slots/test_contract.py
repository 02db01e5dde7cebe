"""What every kind of slot owes, whoever keeps its key."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.faults import KleidiError
from appliance.slots import recovery
from appliance.slots.escrow import EscrowSecret
from appliance.slots.keyfile import KeyFile
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.volume.custody import Custody
from appliance.volume.seal import Header, read_header, seal, unseal
from appliance.volume.slot import KEY_SIZE, HeldSlot
from tests.slots.fakes import FakeEscrow

HEADER = Header("0123456789ab", 3)
NEXT = Header("0123456789ab", 4)


class Secret(Protocol):
    @property
    def kind(self) -> str: ...
    def recall(self, values: Mapping[str, str]) -> HeldSlot: ...


class Way(NamedTuple):
    """A way in, one of the same kind that is not it, and how a slot is made."""

    own: Secret
    other: Secret
    hold: Callable[[str], HeldSlot]
    # How often what keeps the key was asked, where somebody counts.
    asked: Callable[[], int] = lambda: 0


def _file(directory: Path) -> Way:
    own, other = (KeyFile(Custody("file", directory / f"{name}.key")) for name in ("own", "other"))
    own.custody.create()
    other.custody.create()
    return Way(own, other, own.hold)


def _passphrase(_directory: Path) -> Way:
    own, other = Passphrase("correct horse battery staple"), Passphrase("wrong horse battery staple")
    return Way(own, other, own.hold)


def _recovery(_directory: Path) -> Way:
    own, other = Identities.generate(), Identities.generate()
    recipient = own.recipients.names[0]
    return Way(Recovery(own), Recovery(other), lambda name: recovery.hold(name, recipient))


def _fake(_directory: Path) -> Way:
    escrow = FakeEscrow()
    own = EscrowSecret(escrow)
    return Way(own, EscrowSecret(FakeEscrow()), own.hold, lambda: escrow.released)


WAYS = {"file": _file, "passphrase": _passphrase, "recovery": _recovery, "fake": _fake}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return WAYS[request.param](tmp_path)


def test_what_is_public_gives_the_same_key_again(way: Way) -> None:
    held = way.hold("mine")
    again = way.own.recall(held.values)
    assert (again.kind, again.wrapping_key) == (way.own.kind, held.wrapping_key)
    assert (held.values["name"], len(held.wrapping_key)) == ("mine", KEY_SIZE)


def test_every_slot_has_a_key_of_its_own(way: Way) -> None:
    assert way.hold("one").wrapping_key != way.hold("two").wrapping_key


def test_its_values_are_text_and_do_not_hold_the_key(way: Way) -> None:
    held = way.hold("mine")
    assert all(isinstance(value, str) for value in held.values.values())
    assert held.wrapping_key.hex() not in "".join(held.values.values())


def test_it_opens_a_sealed_file_from_its_header_alone(way: Way) -> None:
    sealed = seal(HEADER, b"payload", [way.hold("mine")])
    (slot,) = unseal(sealed, [way.hold("mine"), way.own.recall(_values(sealed))])[0].slots
    assert slot.kind == way.own.kind
    assert unseal(sealed, [way.own.recall(slot.values)])[1] == b"payload"


def test_another_of_its_kind_never_opens_it(way: Way) -> None:
    sealed = seal(HEADER, b"payload", [way.hold("mine")])
    with pytest.raises(KleidiError) as error:
        unseal(sealed, [way.other.recall(_values(sealed))])
    assert error.value.fault in (faults.SLOT_WRONG, faults.SEAL_KEY_WRONG, faults.SLOT_HSM_KEY)


def test_the_next_generation_asks_nobody(way: Way) -> None:
    held = way.hold("mine")
    before = way.asked()
    first = seal(HEADER, b"payload", [held])
    second = seal(NEXT, b"newer", [held])
    assert unseal(first, [held])[1] == b"payload"
    assert unseal(second, [held])[1] == b"newer"
    assert way.asked() == before
    assert unseal(second, [way.own.recall(_values(second))])[1] == b"newer"


@pytest.mark.parametrize("damage", ["gone", "empty", "other", "long", "no text"])
def test_whatever_stands_in_a_header_ends_in_words(way: Way, damage: str) -> None:
    made = {"empty": "", "other": secrets.token_hex(8), "long": "A" * (1 << 20), "no text": "\0é"}
    values = dict(way.hold("mine").values)
    for name in values:
        damaged = {each: value for each, value in values.items() if each != name}
        damaged |= {} if damage == "gone" else {name: made[damage]}
        with contextlib.suppress(KleidiError):
            assert len(way.own.recall(damaged).wrapping_key) == KEY_SIZE


def _values(sealed: bytes) -> Mapping[str, str]:
    return read_header(sealed).slots[0].values
