"""How things stand, for people and for programs: `kleidi status`."""

import time
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from appliance import faults, screen
from appliance.backup import verified
from appliance.documents import Document
from appliance.faults import Exit, KleidiError
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyset import Key
from appliance.ops.operations import Outcome

_PROTECTION = {
    "none": "none (the seal key lies beside the seal: whoever has the volume has the keys)",
    "same-disk": "same-disk (the seal key is on the volume's disk, outside the volume)",
    "other-disk": "other-disk (the seal key is on another filesystem than the volume)",
    "memory": "memory (the seal key is in memory only)",
    "tpm": "tpm (the volume opens on this machine alone, for whoever starts it)",
    "tpm+pcrs": "tpm+pcrs (the volume opens on this machine alone, and as it was measured)",
    "remote": "remote (the volume opens while a server lets it)",
    "hsm": "hsm (the volume opens with a hardware module)",
}
_USED_FROM = {
    "copy": "used from copies in memory",
    "token": "used from the token's files (the primary key allows no copy: docs/adr/0010)",
}
_REFUSED = {
    "missed": "a key of this lineage that is not held",
    "foreign": "a key of another lineage",
    "strange": "a key id that is none of kleidi's",
    "off": "a disabled or destroyed key",
    "tampered": "a ciphertext that fails its authentication",
}
_COLOURS = {
    "OPERATIONAL": screen.Colour.GOOD,
    "DEGRADED": screen.Colour.DOUBTFUL,
    "STARTING": screen.Colour.DOUBTFUL,
}
_SHOWN_IDS = 3


@dataclass(frozen=True)
class KeyRow:
    """A key as it is shown. *since* is in Unix seconds; the counts are this node's."""

    name: Annotated[str, "v1, v2, …"]
    key_id: Annotated[str, "what the API server stores beside each object"]
    state: Annotated[str, "staged, primary, retired, disabled or destroyed"]
    since: Annotated[int, "when it came into that state, in Unix seconds; 0 when that is not known"] = 0
    adopted: Annotated[bool, "whether another plugin made it"] = False
    wrapped: Annotated[int, "how often this node encrypted with it"] = 0
    unwrapped: Annotated[int, "how often this node decrypted with it"] = 0
    engine: Annotated[str, "what holds it: softhsm, transit or pkcs11"] = SOFTHSM

    @classmethod
    def of(cls, key: Key) -> "KeyRow":
        adopted = key.adopted is not None
        return cls(key.name, key.id, key.state, key.since.unix, adopted, engine=key.engine)


@dataclass(frozen=True)
class BackupRow:
    """The backup verified last. *verified* is in Unix seconds; *lacks* names the keys it does not hold."""

    generation: Annotated[int, "the one that is in the bundle"]
    verified: Annotated[int, "when, in Unix seconds"]
    file: Annotated[str, "the bundle's name"] = ""
    lacks: Annotated[list[str], "names of the keys that it does not hold"] = field(default_factory=list)


@dataclass(frozen=True)
class Reason:
    """Why not all is well: a fault's id, and its words with the detail."""

    id: Annotated[str, "the fault's stable id, see errors.md"]
    reason: Annotated[str, "its words and the detail, in one line"]

    @classmethod
    def of(cls, error: KleidiError) -> "Reason":
        return cls(error.fault.id, str(error))


@dataclass(frozen=True)
class EngineRow:
    """What holds keys. *since* is in Unix seconds, and 0 while it is there."""

    name: Annotated[str, "softhsm, transit or pkcs11"]
    remote: Annotated[bool, "whether its keys lie outside of the volume"]
    keys: Annotated[int, "how many are its, the destroyed ones left out"]
    away: Annotated[Reason | None, "what calls on it get now; null while it serves"] = None
    since: Annotated[int, "since when it is away, in Unix seconds"] = 0
    used_from: Annotated[
        str,
        "what its primary key is used from: a `copy` in memory, or the `token`; empty where it is not known",
    ] = ""

    def to_text(self) -> str:
        """`transit: 2 keys, away since 2026-11-25 12:03 UTC: E-TRANSIT-SEALED: …`."""
        keys = f"{self.name}: {self.keys} key{'' if self.keys == 1 else 's'}"
        if self.away is None:
            return f"{keys}, {_USED_FROM.get(self.used_from, 'serves')}"
        since = f" since {screen.minute(self.since)}" if self.since else ""
        return f"{keys}, away{since}: {self.away.reason}"


@dataclass(frozen=True)
class RefusedRow:
    """Refused decrypts of one *sort* since the server started; *first* and *last* are in Unix seconds."""

    sort: Annotated[str, "missed, foreign, strange, off or tampered"]
    count: Annotated[int, "since the server started"]
    first: Annotated[int, "in Unix seconds"]
    last: Annotated[int, "in Unix seconds"]
    key_ids: Annotated[list[str], "a few of those that were asked for"] = field(default_factory=list)

    def to_text(self, now: float) -> str:
        more = ", …" if len(self.key_ids) > _SHOWN_IDS else ""
        named = ", ".join(self.key_ids[:_SHOWN_IDS]) + more
        what = _REFUSED.get(self.sort, self.sort)
        decrypts = "decrypt" if self.count == 1 else "decrypts"
        return f"{self.count:,} {decrypts}, the last {verified.ago(now - self.last)}: {what} ({named})"


@dataclass(frozen=True)
class Changed(Document):
    """What a change did and what holds now."""

    schema: ClassVar[str] = "kleidi.change/v1"
    printed_by: ClassVar[str] = (
        "kleidi key stage · promote · rotate · retire · disable · enable · destroy, kleidi adopt, "
        "kleidi transit adopt, kleidi anchor accept, kleidi node join, kleidi slot add · test · remove"
    )

    said: Annotated[tuple[str, ...], "what was done, and what could not be done behind it"]
    keyset: Annotated[str, "the key set's hash"]
    generation: Annotated[int, "the generation that holds now"]
    key: Annotated[KeyRow, "the key that it was about, else the primary one"]
    dry_run: Annotated[bool, "whether nothing was done"] = False

    @classmethod
    def of(cls, outcome: Outcome) -> "Changed":
        opened = outcome.opened
        return cls(outcome.said, opened.payload.keyset.hash, opened.header.generation, KeyRow.of(outcome.key))

    def to_text(self, columns: int = screen.ENDLESS) -> str:
        held = f"key set {self.keyset}, generation {self.generation}"
        return screen.wrapped([*self.said, held], columns)


@dataclass(frozen=True)
class LossRow:
    """Keys that were accepted as lost. *generation* was seen here, *found* was there in its place."""

    unix: Annotated[int, "when, in Unix seconds"]
    generation: Annotated[int, "the one that was seen here before"]
    found: Annotated[int, "the one that was there in its place"]
    keys: Annotated[list[str], "ids of the lost keys, as far as they are known"]
    reason: Annotated[str, "as it was given"]

    def to_text(self) -> str:
        """`2026-11-25: kleidi/…/v2/…; generation 3 was seen, 1 was found (the disk burnt)`."""
        day = screen.day(self.unix)
        named = ", ".join(self.keys) or "no key that is known"
        return f"{day}: {named}; generation {self.generation} was seen, {self.found} found ({self.reason})"


@dataclass(frozen=True)
class Report(Document):
    """How the appliance stands: asked of the server, or read from the volume while none answers."""

    schema: ClassVar[str] = "kleidi.status/v1"
    printed_by: ClassVar[str] = "kleidi status"

    state: Annotated[
        str,
        "OPERATIONAL, DEGRADED, STARTING, SEALED, UNPROVISIONED or FAILED as the server says; without its "
        "answer STOPPED, MUTE, ELSEWHERE or UNKNOWN",
    ]
    reason_id: Annotated[str, "the first of the reasons, empty when all is well"] = ""
    reason: Annotated[str, "its words"] = ""
    socket: Annotated[str, "where the API server finds us"] = ""
    key_id: Annotated[str, "the primary key's"] = ""
    lineage: Annotated[str, "what all generations of this cluster's keys have in common"] = ""
    keyset: Annotated[str, "a short hash over all keys and their states, to compare nodes"] = ""
    generation: Annotated[int, "of the sealed volume"] = 0
    protection: Annotated[
        str,
        "where the key file is, while one opens it: none, same-disk, other-disk, memory; otherwise what has "
        "to be there: tpm, tpm+pcrs, remote or hsm",
    ] = ""
    keys: Annotated[list[KeyRow], "oldest first; empty while nothing is open"] = field(default_factory=list)
    backup: Annotated[BackupRow | None, "the backup verified last; null when none ever was"] = None
    reasons: Annotated[list[Reason], "all that there are, worst first"] = field(default_factory=list)
    refused: Annotated[list[RefusedRow], "decrypts that were refused, worst first"] = field(
        default_factory=list
    )
    losses: Annotated[list[LossRow], "what was accepted as lost"] = field(default_factory=list)
    engines: Annotated[list[EngineRow], "what holds the keys, the primary key's first"] = field(
        default_factory=list
    )

    @property
    def exit(self) -> Exit:
        """0 only when all is well; else the reason's own, but sealed is sealed, whatever keeps it so."""
        if not self.reason_id:
            return Exit.OK
        if self.state == "SEALED":
            return Exit.WRONG_KEY if self.reason_id == faults.SEAL_KEY_WRONG.id else Exit.SEALED
        fault = faults.named(self.reason_id)
        return fault.exit if fault else Exit.ERROR

    def to_text(self, columns: int = screen.ENDLESS, now: float | None = None) -> str:
        """*columns* wide at the most, as far as ids allow; *now* in Unix seconds, by default the clock's."""
        now = time.time() if now is None else now
        # A server from before an upgrade tells one reason only.
        reasons = self.reasons or [Reason(self.reason_id, self.reason)]
        rows = [
            ("state", self.state),
            *(("reason", each.reason) for each in reasons),
            ("socket", self.socket),
            ("key id", self.key_id),
            ("lineage", self.lineage),
            ("key set", self.keyset),
            ("generation", str(self.generation or "")),
            ("protection", _PROTECTION.get(self.protection, self.protection)),
            *(("engine", each.to_text()) for each in self._shown_engines),
            ("backup", self._backup(now) if self.keyset else ""),
            *(("refused", each.to_text(now)) for each in self.refused),
            *(("lost", each.to_text()) for each in self.losses),
        ]
        lines = screen.rows([(name, words) for name, words in rows if words], columns)
        lines[0] = f"{'state':11} {screen.coloured(self.state, _COLOURS.get(self.state, screen.Colour.BAD))}"
        return "\n".join(lines)

    @property
    def _shown_engines(self) -> list[EngineRow]:
        """Of SoftHSM alone there is nothing to tell that the state does not, but of copies."""
        alone = [(each.name, each.used_from) for each in self.engines] == [(SOFTHSM, "")]
        return [] if alone else self.engines

    def _backup(self, now: float) -> str:
        if self.backup is None:
            return "never verified"
        return verified.text(self.backup.generation, self.backup.verified, self.backup.lacks, now)
