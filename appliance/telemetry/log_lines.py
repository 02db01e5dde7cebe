"""The log as an observer: which facts get a line, at which level, and which are spared."""

import logging

from appliance import faults
from appliance.faults import Fault, Kind
from appliance.logs import event, log
from appliance.telemetry.observer import (
    Called,
    Committed,
    Event,
    Proved,
    Remarked,
    Stood,
    Switched,
    TokenOpened,
)
from appliance.telemetry.sparing import Sparing

# Of every step from one state to another, and of each reason that comes or goes.
STATE = "state"
# The caller's own mistakes are worth a line, not an alarm.
_CALLERS = {Kind.MALFORMED, Kind.UNKNOWN_KEY, Kind.TAMPERED, Kind.KEY_OFF, Kind.REFUSED}
# What every first boot goes through.
_CALM = (faults.STARTING, faults.PROVISIONING)
# Asked every few seconds, and nothing new when all is well.
_OFTEN = ("Status", "status")


class LogLines:
    """Bad calls by the thousand get ten lines a minute of a kind (sparing.py), which needs the event loop."""

    def __init__(self) -> None:
        self._sparing = Sparing()

    def observe(self, told: Event) -> None:
        match told:
            case Called(fault=None):
                level = logging.DEBUG if told.method in _OFTEN else logging.INFO
                spent = _milliseconds(told.seconds, 2)
                event(level, told.method, uid=told.uid, key_id=told.key_id, **told.about, ms=spent)
            case Called(fault=Fault() as fault):
                self._refused(told, fault)
            case TokenOpened(seconds):
                event(logging.INFO, "token open", ms=_milliseconds(seconds))
            case Switched(generation, seconds):
                event(logging.INFO, "switched", generation=generation, ms=_milliseconds(seconds, 1))
            case Stood():
                _stood(told)
            case Remarked(fault, was, state, detail, over):
                level = logging.INFO if over else logging.WARNING
                why = fault.sentence if over else fault.words
                event(level, STATE, **_step(was, state), id=fault.id, why=why, detail=detail, over=over or "")
            case Proved():
                ...  # every few seconds; what a failed one leads to is told
            case Committed():
                ...  # the audit log tells of it

    def _refused(self, told: Called, fault: Fault) -> None:
        if told.bug is not None:
            if self._sparing.lets(logging.ERROR, told.method, fault.id):
                fields = {"method": told.method, "uid": told.uid, "id": fault.id}
                log.error("a mistake of ours", exc_info=told.bug, extra={"fields": fields})
            return
        level = _level(told.method, fault)
        if self._sparing.lets(level, told.method, fault.id):
            spent = _milliseconds(told.seconds, 2)
            event(level, told.method, uid=told.uid, **told.about, id=fault.id, detail=told.detail, ms=spent)


def _stood(told: Stood) -> None:
    reason = told.reason
    if reason is None or reason in _CALM:
        level = logging.INFO
    else:
        level = logging.WARNING if reason.kind is Kind.WAITING else logging.ERROR
    event(
        level,
        STATE,
        **_step(told.was, told.state),
        id=reason.id if reason else "",
        why=reason.words if reason else "",
        detail=told.detail,
        key_id=told.key_id,
    )


def _step(was: str, state: str) -> dict[str, object]:
    """Of a step that leads nowhere, as to another key, only where it stands."""
    return {"from": was if was != state else "", "to": state}


def _level(method: str, fault: Fault) -> int:
    if method == "Status":
        return logging.DEBUG  # asked every few seconds; the change itself was logged when it came
    return logging.WARNING if fault.kind in _CALLERS else logging.ERROR


def _milliseconds(seconds: float, digits: int | None = None) -> float:
    return round(1000 * seconds, digits)
