"""How things stand while the server does not answer: what can be read of the volume without opening it."""

from dataclasses import replace

from appliance import faults
from appliance.client.report import Reason, Report
from appliance.faults import Fault, KleidiError
from appliance.provision.plan import Refusal
from appliance.volume.opening import Storage
from appliance.volume.seal import Header

UNKNOWN = "UNKNOWN"
# By why the server does not answer; of the rest nothing can be told.
_STATES = {
    faults.SERVER_UNREACHABLE: "STOPPED",
    faults.SERVER_ELSEWHERE: "ELSEWHERE",
    faults.SERVER_MUTE: "MUTE",
}


def untold(socket: str, denied: KleidiError) -> Report:
    """For who may not look: what the kernel refuses tells nothing of the volume, and remedies would harm."""
    only = Reason.of(denied)
    return Report(UNKNOWN, only.id, only.reason, socket, reasons=[only])


def from_disk(storage: Storage, socket: str, waiting_for: Refusal | None, unanswered: KleidiError) -> Report:
    """What can be told while the server does not answer, which is *unanswered*; nothing is opened."""
    first, header = Reason.of(unanswered), None
    found: list[KleidiError] = []
    if waiting_for is None:
        header, found = _look(storage)
    elif waiting_for.fault is faults.PROVISIONING:
        first = replace(first, reason=f"{first.reason} The volume is empty and may get its first key.")
    else:
        found = [KleidiError(waiting_for.fault, waiting_for.detail)]
    reasons = [first, *(Reason.of(error) for error in found)]
    # Whoever shows one reason alone shows all that is known.
    words = [first.reason, *(["The volume:"] if found else []), *(each.reason for each in reasons[1:])]
    return Report(
        _STATES.get(unanswered.fault, UNKNOWN),
        first.id,
        " ".join(words),
        socket,
        lineage=header.lineage if header else "",
        generation=header.generation if header else 0,
        reasons=reasons,
    )


def _look(storage: Storage) -> tuple[Header | None, list[KleidiError]]:
    """The newest generation as its header has it, and what speaks against it, worst first."""
    try:
        header = storage.header(storage.sealed())
    except KleidiError as error:
        return None, [error]
    found: list[KleidiError] = []
    warnings: tuple[Fault, ...] = ()
    try:
        warnings = storage.recognise(header)
    except KleidiError as error:
        found.append(error)
    try:
        storage.custody.demand()
    except KleidiError as error:
        found.append(error)
    return header, [*found, *(KleidiError(fault) for fault in warnings)]
