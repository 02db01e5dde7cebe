"""What will trouble somebody later: a PIN with few tries left, keys that are looser than they were asked for.

Before it looks it does what a committed change has left to do: condemned keys are destroyed.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from appliance import faults
from appliance.engines.pkcs11.state import Held
from appliance.faults import Fault
from appliance.pkcs11 import words
from softhsm.pkcs11 import key
from softhsm.pkcs11.constants import Cka
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import DeniedError, KeyGoneError
from softhsm.pkcs11.login import Login
from softhsm.pkcs11.session import Session


def of(device: Device, held: Held) -> Mapping[Fault, str]:
    """Warnings with their details; what the token does not let be seen is not told. Raises `Pkcs11Error`."""
    found = words.warnings(device.token())
    left: list[str] = []
    with suppress(DeniedError):
        left.append(_counted(_executed(device, held), "destroyed key", "that the token does not let go of"))
    with suppress(DeniedError):
        if loose := device.run(lambda login, session: list(_loose(login, session, held))):
            found[faults.PKCS11_KEY_LOOSE] = "; ".join(loose)
    with suppress(DeniedError):
        strays = device.run(lambda _, session: _strays(session, held))
        left.append(_counted(strays, "object", "of ours that no key id names"))
    if told := "; ".join(filter(None, left)):
        found[faults.PKCS11_STRAY] = told
    return found


def _counted(number: int, what: str, which: str) -> str:
    return f"{number} {what}{'s' * (number > 1)} {which}" if number else ""


def destroy(session: Session, object_id: str) -> None:
    """Every object of that id, which is one or none. The session writes."""
    for handle in session.find(identity=key.identity(object_id)):
        session.destroy(handle)


def _executed(device: Device, held: Held) -> int:
    """Destroy what is condemned and still there; answer how many the token keeps."""
    condemned = [each for each in held.condemned if each not in held.keys]
    kept = 0
    for object_id in device.run(lambda _, session: list(_there(session, condemned))):
        try:
            device.run(lambda _, session, mine=object_id: destroy(session, mine), writes=True)  # type: ignore[misc]
        except DeniedError:
            kept += 1
    return kept


def _there(session: Session, object_ids: list[str]) -> Iterator[str]:
    return (each for each in object_ids if session.find(identity=key.identity(each)))


def _loose(login: Login, session: Session, held: Held) -> Iterator[str]:
    for object_id in held.keys:
        try:
            wrong = key.missing(session, login.handle(session, object_id))
        except KeyGoneError:
            # A call for that key says so.
            continue
        if wrong:
            yield f"object {object_id}: {', '.join(wrong)}"


def _strays(session: Session, held: Held) -> int:
    """How many objects bear this cluster's label and no id of ours."""
    if not held.mark:
        return 0
    ids = {key.identity(each) for each in (*held.keys, *held.condemned)}
    return sum(session.attribute(each, Cka.ID) not in ids for each in session.find(label=held.object_label))
