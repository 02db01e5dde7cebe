"""The audit log: one JSON line for each step of each change, chained by hashes, only ever appended to."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance import faults
from appliance.faults import KleidiError
from appliance.volume import durable

_FIRST = "0" * 64
# What a crash in the middle of a line looks like from the next one.
_TORN = "torn"


@dataclass(frozen=True)
class Head:
    """The last entry: what everything before it can be held against."""

    seq: int = 0
    hash: str = _FIRST


@dataclass(frozen=True)
class AuditLog:
    path: Path

    @property
    def files(self) -> list[Path]:
        return [self.path]

    def append(self, op: str, **fields: object) -> Head:
        """Write one line and wait for the disk. Raises E-AUDIT-FAILED: then the change must not happen."""
        with durable.translated(*3 * [faults.AUDIT_FAILED]):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                content = file.read()
                lines = content.splitlines()
                ended = not content or content.endswith(b"\n")
                # Of a line that was cut off, everything but the line break may have arrived.
                torn = not ended and _parse(lines[-1]) is None
                sequence, previous = _last(lines)
                entry = {"seq": sequence + 1, "time": _now(), "op": op, **_present(fields)}
                if torn:
                    entry[_TORN] = True
                line = _line(entry, previous)
                file.write(line if ended else b"\n" + line)
                file.flush()
                os.fsync(descriptor)
        return Head(sequence + 1, _parse(line)["hash"])  # type: ignore[index]

    def tail(self, count: int) -> list[dict[str, Any]]:
        """The last entries, oldest first; nothing is checked."""
        entries = [entry for line in self._lines() if (entry := _parse(line))]
        return entries[-count:] if count else []

    def verify(self) -> int:
        """The number of entries. Raises E-AUDIT-BROKEN with the line where the chain is broken."""
        lines = self._lines()
        previous, count = _FIRST, 0
        for number, line in enumerate(lines, 1):
            entry = _parse(line)
            if entry is None:
                following = _parse(lines[number]) if number < len(lines) else None
                if number == len(lines) or (following and following.get(_TORN)):
                    continue
                raise KleidiError(faults.AUDIT_BROKEN, f"line {number} is not an entry")
            count += 1
            claimed = entry.pop("hash")
            if entry["seq"] != count or claimed != _hash(entry, previous):
                raise KleidiError(faults.AUDIT_BROKEN, f"line {number} does not follow from the line before")
            previous = claimed
        return count

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KleidiError(faults.AUDIT_UNREADABLE, f"{error.strerror}: {self.path}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _present(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _last(lines: list[bytes]) -> tuple[int, str]:
    for line in reversed(lines):
        entry = _parse(line)
        if entry is not None:
            return entry["seq"], entry["hash"]
    return 0, _FIRST


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    return entry if type(entry.get("seq")) is int and type(entry.get("hash")) is str else None


def _hash(entry: dict[str, object], previous: str) -> str:
    text = previous + json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _line(entry: dict[str, object], previous: str) -> bytes:
    return json.dumps({**entry, "hash": _hash(entry, previous)}).encode() + b"\n"
