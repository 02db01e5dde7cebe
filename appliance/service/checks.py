"""How things stand as a list of named checks, in the control plane's own form.

Each reason belongs to one check. A check fails only by what concerns calls; what somebody should look at
while every call works is a warning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from appliance import faults
from appliance.backup.verified import Coverage
from appliance.faults import Fault, Kind
from appliance.service.standing import Standing

SOCKET, TOKEN, PRIMARY, KEYS, ENGINES = "socket", "token", "primary", "keys", "engines"
VOLUME, SEAL_KEY, ANCHOR, AUDIT, BACKUP = "volume", "seal-key", "anchor", "audit", "backup"
NAMES: Final = (SOCKET, TOKEN, PRIMARY, KEYS, ENGINES, VOLUME, SEAL_KEY, ANCHOR, AUDIT, BACKUP)

# Where a reason belongs while we serve; every other one is an engine's.
_HOMES: Final[Mapping[str, tuple[Fault, ...]]] = MappingProxyType(
    {
        SOCKET: (
            faults.SOCKET_DIRECTORY,
            faults.SOCKET_OWNER,
            faults.SOCKET_GROUP,
            faults.SOCKET_TAKEN,
            faults.HTTP_ADDRESS,
        ),
        PRIMARY: (faults.KEY_ENCRYPTS_NOT,),
        KEYS: (faults.KEY_UNREADABLE, faults.KEY_SWITCHED_OFF, faults.KEY_MISSED),
        VOLUME: (faults.VOLUME_UNSURE, faults.VOLUME_GONE, faults.ROLLED_BACK),
        SEAL_KEY: (faults.SEAL_KEY_GONE,),
        ANCHOR: (faults.ANCHOR_UNREADABLE, faults.ANCHOR_UNWRITABLE),
        AUDIT: (faults.AUDIT_CUT, faults.AUDIT_UNREADABLE),
    }
)
_HOME: Final = {fault: name for name, those in _HOMES.items() for fault in those}


class Verdict(Enum):
    OK = "ok"
    WARNED = "warned"
    FAILED = "failed"


@dataclass(frozen=True)
class Check:
    """*words* say why, without the details, which are for operators alone."""

    name: str
    verdict: Verdict = Verdict.OK
    words: str = ""

    def __str__(self) -> str:
        match self.verdict:
            case Verdict.OK:
                return f"[+]{self.name} ok{f' ({self.words})' if self.words else ''}"
            case Verdict.WARNED:
                return f"[!]{self.name} warned: {self.words}"
            case Verdict.FAILED:
                return f"[-]{self.name} failed: {self.words}"


def checks(standing: Standing, proved_ago: float | None) -> list[Check]:
    """Every check but the backup's, for which somebody has to look at a file: it hurts no call anyway."""
    found = {name: Check(name) for name in NAMES if name != BACKUP}
    if standing.serves:
        for name in found:
            found[name] = _of(name, [fault for fault, _ in standing.reasons if home(fault) == name])
        if proved_ago is not None:
            found[TOKEN] = Check(TOKEN, words=f"proved {proved_ago:.0f}s ago")
    elif standing.reason:
        wrong = PRIMARY if standing.held_back or standing.reason is faults.PRIMARY_WRONG else TOKEN
        if not standing.held_back:
            # None of them is proved either.
            for name in (TOKEN, PRIMARY, KEYS):
                found[name] = Check(name, Verdict.FAILED, f"nothing is open: see {wrong}")
        found[wrong] = Check(wrong, Verdict.FAILED, str(standing.reason))
    return list(found.values())


def home(fault: Fault) -> str:
    """Which check a reason belongs to while we serve."""
    return _HOME.get(fault, ENGINES)


def backup(standing: Standing, coverage: Coverage | None) -> Check:
    if standing.keyset is None:
        return Check(BACKUP, words="not asked: nothing is open")
    if coverage is None:
        return Check(BACKUP, Verdict.WARNED, "no backup was ever verified here")
    if coverage.lacks:
        are = "is" if len(coverage.lacks) == 1 else "are"
        return Check(BACKUP, Verdict.WARNED, f"{', '.join(coverage.lacks)} {are} in no verified backup")
    return Check(BACKUP)


def _of(name: str, those: list[Fault]) -> Check:
    if not those:
        return Check(name)
    failed = any(fault.kind is not Kind.WARNING for fault in those)
    words = " ".join(map(str, those))
    return Check(name, Verdict.FAILED if failed else Verdict.WARNED, words)
