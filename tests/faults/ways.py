"""The ways in which a step is disturbed, and how a command must end then."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from appliance import faults
from appliance.faults import Exit, Kind
from tests.faults.warm import Ended

ONE_LINE = re.compile(r"kleidi: (E-[A-Z0-9-]+): .*\n")


@dataclass(frozen=True)
class Way:
    """*injection* in strace's words, at the calls that change what lasts or, *reading*, that read it."""

    name: str
    injection: str
    reading: bool = False

    @property
    def kills(self) -> bool:
        return self.injection.startswith("signal=")

    def ended_wrongly(self, ended: Ended, lines: list[str]) -> Iterator[str]:
        if self.kills:
            if ended.code not in (-9, 128 + 9):
                yield f"it was not killed but ended with {ended.code}"
            return
        if not any("(INJECTED)" in line for line in lines):
            yield "the call did not come"
        if ended.code == Exit.OK or (ended.code == Exit.DEGRADED and not ended.said):
            return  # a disk that cannot even remember is told of beside what was done
        match = ONE_LINE.fullmatch(ended.said)
        fault = faults.named(match[1]) if match else None
        if fault is None or fault.kind is Kind.BUG:
            yield f"not one line with an id of ours: {ended.said!r}"
        elif ended.code != fault.exit:
            yield f"it ended with {ended.code} and {fault.id}"


KILL = Way("kill", "signal=SIGKILL")
ENOSPC = Way("enospc", "error=ENOSPC")
EIO = Way("eio", "error=EIO")
EROFS = Way("erofs", "error=EROFS")
EDQUOT = Way("edquot", "error=EDQUOT")
UNREADABLE = Way("unreadable", "error=EIO", reading=True)
WAYS = {way.name: way for way in (KILL, ENOSPC, EIO, EROFS, EDQUOT, UNREADABLE)}
