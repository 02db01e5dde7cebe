"""What the seal keeps for this engine: which versions were taken up, and by what each is known again.

No key, no token. A version that was destroyed here stays listed, so that it is never taken up a second time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from appliance.keys.engine import EngineState
from appliance.transit.key import Version

FILE = "transit.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Taken:
    """*print_source* is the same on every node; *answer* is the known plaintext, wrapped by this one."""

    print_source: bytes
    answer: bytes
    destroyed: bool = False


@dataclass(frozen=True)
class Held:
    versions: Mapping[Version, Taken] = field(default_factory=dict)

    @classmethod
    def of(cls, state: EngineState) -> "Held":
        """Raises ValueError for what is damaged, and for a newer schema."""
        if not state:
            return cls()
        data = json.loads(state.files.get(FILE, b""))
        if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
            raise ValueError("another schema")
        try:
            return cls({Version.parse(name): _taken(each) for name, each in data["versions"].items()})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("not a state of Transit's") from error

    @property
    def state(self) -> EngineState:
        versions = {
            str(version): {
                "print": taken.print_source.hex(),
                "answer": taken.answer.hex(),
                "destroyed": taken.destroyed,
            }
            for version, taken in self.versions.items()
        }
        text = json.dumps({"schema": _SCHEMA, "versions": versions}, indent=1, sort_keys=True)
        return EngineState({FILE: text.encode()})

    def live(self) -> dict[Version, Taken]:
        return {version: taken for version, taken in self.versions.items() if not taken.destroyed}

    def with_one(self, version: Version, taken: Taken) -> "Held":
        return Held({**self.versions, version: taken})

    def without(self, version: Version) -> "Held":
        return self.with_one(version, replace(self.versions[version], destroyed=True))

    def numbers(self, mount: str, key: str) -> set[int]:
        """All that were ever taken up of that key and bound."""
        return {
            each.number for each in self.versions if (each.mount, each.key, each.bound) == (mount, key, True)
        }

    def needs(self) -> str:
        """The keys at the server without which ours open nothing, in words; empty for none."""
        found: dict[str, set[int]] = {}
        for version in self.live():
            found.setdefault(f"{version.mount}/{version.key}", set()).add(version.number)
        return "; ".join(
            f"Transit key {name}, {_spelled(sorted(numbers))}" for name, numbers in found.items()
        )


def _taken(each: Mapping[str, object]) -> Taken:
    destroyed = each["destroyed"]
    if not isinstance(destroyed, bool):
        raise TypeError("destroyed")
    return Taken(bytes.fromhex(str(each["print"])), bytes.fromhex(str(each["answer"])), destroyed)


def _spelled(numbers: list[int]) -> str:
    """`version 2`, or `versions` with its runs, as 1-3 and 7 are some."""
    if len(numbers) == 1:
        return f"version {numbers[0]}"
    return f"versions {', '.join(_runs(numbers))}"


def _runs(numbers: list[int]) -> Iterator[str]:
    first = last = numbers[0]
    for number in [*numbers[1:], 0]:
        if number == last + 1:
            last = number
            continue
        yield f"{first}" if first == last else f"{first}–{last}"  # noqa: RUF001  a range
        first = last = number
