"""The table: every way to stand that there is, how to get there, and what each surface must say of it."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Fault
from appliance.keys.key_id import compose
from appliance.keys.keyset import KeyState
from appliance.provision.policy import Policy
from appliance.volume.anchor import Memory
from tests.service.client import connected, refused
from tests.states.ground import Ground

Act = Callable[[Ground], object]


@dataclass(frozen=True)
class Case:
    """*first* comes before the server starts, *then* once it serves; *heal* mends what both did.

    *reasons* is what the server knows, worst first, and *disk* what the volume alone tells of it while
    the server does not answer there.
    """

    name: str
    state: str
    reasons: tuple[Fault, ...] = ()
    first: Act | None = None
    then: Act | None = None
    heal: Act | None = None
    disk: tuple[Fault, ...] = ()
    healthz: Fault | None = None

    @property
    def ids(self) -> list[str]:
        return [fault.id for fault in self.reasons]

    @property
    def serves(self) -> bool:
        return self.state in ("OPERATIONAL", "DEGRADED")

    @property
    def holds(self) -> bool:
        """Whether the lock of what is at the volume's path is the server's."""
        return faults.VOLUME_GONE not in self.reasons

    @property
    def reached(self) -> bool:
        """Whether the API server's path leads to us: a socket that is another's or nowhere is not asked."""
        return not {faults.SOCKET_TAKEN, faults.SOCKET_DIRECTORY} & set(self.reasons)


def away(what: Callable[[Ground], Path]) -> Act:
    """Move a file or directory of the ground aside."""
    return lambda ground: what(ground).rename(ground.aside / what(ground).name)


def back(what: Callable[[Ground], Path]) -> Act:
    return lambda ground: (ground.aside / what(ground).name).rename(what(ground))


def both(*acts: Act) -> Act:
    def act(ground: Ground) -> None:
        for each in acts:
            each(ground)

    return act


def seal_key(ground: Ground) -> Path:
    return ground.custody.path


def anchor_directory(ground: Ground) -> Path:
    return ground.remembered.parent


def volume(ground: Ground) -> Path:
    return ground.volume.path


def generation(ground: Ground) -> Path:
    return ground.volume.file(1)


def swap_seal_key(ground: Ground) -> None:
    away(seal_key)(ground)
    ground.custody.path.write_bytes(bytes(32))
    ground.custody.path.chmod(0o400)


def put_seal_key_back(ground: Ground) -> None:
    ground.custody.path.unlink()
    back(seal_key)(ground)


def empty(ground: Ground) -> None:
    """Nothing was ever here."""
    away(generation)(ground)
    away(seal_key)(ground)


def fill(ground: Ground) -> None:
    back(seal_key)(ground)
    back(generation)(ground)


def to_join(ground: Ground) -> None:
    ground.policy = Policy.JOIN
    empty(ground)


def damage_anchor(ground: Ground) -> None:
    ground.remembered.write_text("{")


def mend_anchor(ground: Ground) -> None:
    ground.remembered.unlink()


def remember_more(ground: Ground) -> None:
    ground.anchor.advance(Memory(ground.keyset.lineage, 2))


def remember_this(ground: Ground) -> None:
    ground.anchor.advance(Memory(ground.keyset.lineage, 1))


def remember_another(ground: Ground) -> None:
    ground.anchor.advance(Memory("ba9876543210", 1))


def empty_again(ground: Ground) -> None:
    """Something was here, and is gone."""
    remember_this(ground)
    away(generation)(ground)


def damage(ground: Ground) -> None:
    whole = ground.volume.file(1)
    content = whole.read_bytes()
    away(generation)(ground)
    whole.write_bytes(content[:-1])


def mend(ground: Ground) -> None:
    ground.volume.file(1).unlink()
    back(generation)(ground)


def exchange(state: KeyState) -> Act:
    return lambda ground: ground.engine.spoil(ground.key(state).object_id)


def take_socket(ground: Ground) -> None:
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    hidden = ground.socket.with_name("stranger")
    stranger.bind(str(hidden))
    stranger.listen()
    hidden.rename(ground.socket)
    ground.strangers.append(stranger)


def give_socket_back(ground: Ground) -> None:
    ground.strangers.pop().close()


def remove_socket_directory(ground: Ground) -> None:
    for path in ground.socket.parent.iterdir():
        path.unlink()
    ground.socket.parent.rmdir()


def make_socket_directory(ground: Ground) -> None:
    ground.socket.parent.mkdir(mode=0o700)


def miss_a_key(ground: Ground) -> None:
    """The API server reads what a key encrypted that only a newer volume held."""
    lost = compose(ground.keyset.lineage, 9, "0" * 12)
    with connected(ground.socket) as client:
        refused(lambda: client.decrypt(lost, ground.wrap(KeyState.PRIMARY, b"seed")))


CASES = [
    Case("serving", "OPERATIONAL"),
    # Without a key
    Case(
        "not provisioned",
        "UNPROVISIONED",
        (faults.VOLUME_EMPTY,),
        empty,
        heal=fill,
        disk=(faults.VOLUME_EMPTY,),
    ),
    Case(
        "awaiting join",
        "UNPROVISIONED",
        (faults.AWAITING_JOIN,),
        to_join,
        heal=fill,
        disk=(faults.AWAITING_JOIN,),
    ),
    # Sealed
    Case(
        "sealed, its key missing",
        "SEALED",
        (faults.SEAL_KEY_MISSING,),
        away(seal_key),
        heal=back(seal_key),
        disk=(faults.SEAL_KEY_MISSING,),
    ),
    Case("sealed, its key wrong", "SEALED", (faults.SEAL_KEY_WRONG,), swap_seal_key, heal=put_seal_key_back),
    # Able, but somebody should look
    Case(
        "seal key gone",
        "DEGRADED",
        (faults.SEAL_KEY_GONE,),
        then=away(seal_key),
        heal=back(seal_key),
        disk=(faults.SEAL_KEY_MISSING,),
    ),
    Case(
        "seal key exchanged",
        "DEGRADED",
        (faults.SEAL_KEY_GONE,),
        then=swap_seal_key,
        heal=put_seal_key_back,
    ),
    Case(
        "anchor cannot be written",
        "DEGRADED",
        (faults.ANCHOR_UNWRITABLE,),
        away(anchor_directory),
        heal=back(anchor_directory),
    ),
    Case(
        "anchor cannot be read",
        "DEGRADED",
        (faults.ANCHOR_UNREADABLE,),
        damage_anchor,
        heal=mend_anchor,
        disk=(faults.ANCHOR_UNREADABLE,),
    ),
    Case(
        "socket taken by another program",
        "DEGRADED",
        (faults.SOCKET_TAKEN,),
        then=take_socket,
        heal=give_socket_back,
    ),
    Case(
        "socket directory not there yet",
        "DEGRADED",
        (faults.SOCKET_DIRECTORY,),
        remove_socket_directory,
        heal=make_socket_directory,
    ),
    Case(
        "socket directory gone",
        "DEGRADED",
        (faults.SOCKET_DIRECTORY,),
        then=remove_socket_directory,
        heal=make_socket_directory,
    ),
    Case(
        "volume gone",
        "DEGRADED",
        (faults.VOLUME_GONE,),
        then=away(volume),
        heal=back(volume),
        disk=(faults.VOLUME_MISSING,),
    ),
    Case(
        "volume rolled back",
        "DEGRADED",
        (faults.ROLLED_BACK,),
        remember_more,
        disk=(faults.ROLLED_BACK,),
    ),
    Case("a key missed", "DEGRADED", (faults.KEY_MISSED,), then=miss_a_key),
    # Able, and a call may fail
    Case(
        "a retired key unreadable",
        "DEGRADED",
        (faults.KEY_UNREADABLE,),
        exchange(KeyState.RETIRED),
        healthz=faults.KEY_UNREADABLE,
    ),
    # Two at once, the worse one first
    Case(
        "socket taken, seal key gone",
        "DEGRADED",
        (faults.SOCKET_TAKEN, faults.SEAL_KEY_GONE),
        then=both(away(seal_key), take_socket),
        heal=both(give_socket_back, back(seal_key)),
        disk=(faults.SEAL_KEY_MISSING,),
    ),
    Case(
        "seal key gone, anchor damaged",
        "DEGRADED",
        (faults.SEAL_KEY_GONE, faults.ANCHOR_UNREADABLE),
        then=both(away(seal_key), damage_anchor),
        heal=both(mend_anchor, back(seal_key)),
        disk=(faults.SEAL_KEY_MISSING, faults.ANCHOR_UNREADABLE),
    ),
    Case(
        "a retired key unreadable, volume rolled back",
        "DEGRADED",
        (faults.KEY_UNREADABLE, faults.ROLLED_BACK),
        both(remember_more, exchange(KeyState.RETIRED)),
        disk=(faults.ROLLED_BACK,),
        healthz=faults.KEY_UNREADABLE,
    ),
    Case(
        "sealed, anchor damaged",
        "SEALED",
        (faults.SEAL_KEY_MISSING,),
        both(damage_anchor, away(seal_key)),
        heal=both(mend_anchor, back(seal_key)),
        disk=(faults.SEAL_KEY_MISSING, faults.ANCHOR_UNREADABLE),
    ),
    # Wrong
    Case(
        "volume emptied",
        "FAILED",
        (faults.VOLUME_EMPTIED,),
        empty_again,
        heal=back(generation),
        disk=(faults.VOLUME_EMPTIED,),
    ),
    Case(
        "another lineage",
        "FAILED",
        (faults.LINEAGE_FOREIGN,),
        remember_another,
        heal=mend_anchor,
        disk=(faults.LINEAGE_FOREIGN,),
    ),
    Case(
        "generation damaged", "FAILED", (faults.SEAL_CORRUPT,), damage, heal=mend, disk=(faults.SEAL_CORRUPT,)
    ),
    Case("primary key exchanged", "FAILED", (faults.PRIMARY_WRONG,), exchange(KeyState.PRIMARY)),
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
