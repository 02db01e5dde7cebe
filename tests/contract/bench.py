"""What an engine is put to work with: each act in a scratch room of its own, as the appliance does it."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.keys import key_id
from appliance.keys.engine import Adopts, Engine, EngineError, EngineState, LostError, Made, OffError
from appliance.keys.found import FoundToken
from appliance.volume import memory


@dataclass(frozen=True)
class Held:
    """A state, and the known answer of each key that it holds, by the engine's name of the key."""

    state: EngineState
    answers: Mapping[str, bytes]

    def and_(self, made: Made) -> "Held":
        """With one key more."""
        return Held(made.state, {**self.answers, made.object_id: made.known_answer})


@dataclass(frozen=True)
class Bench:
    """*found* is a token that another program made, and *theirs* the key on it, where the engine adopts."""

    engine: Engine
    memory_dir: Path
    found: FoundToken | None = None
    theirs: bytes = b""
    # What has to be done at a server before there is a key to take up.
    prepare: Callable[[], object] = lambda: None

    @property
    def missing(self) -> tuple[type[EngineError], ...]:
        """What a key that is not there is told by: elsewhere it is known to be gone for good."""
        return (LostError, OffError) if self.engine.remote else (LostError,)

    def make(self) -> Held:
        return self.extend(Held(EngineState(), {}))

    def extend(self, held: Held, name: str = "") -> Held:
        self.prepare()
        with self._room() as scratch:
            return held.and_(self.engine.make(scratch, held.state, name or secrets.token_hex(16)))

    def destroy(self, held: Held, name: str) -> Held:
        with self._room() as scratch:
            state = self.engine.destroy(scratch, held.state, name)
        return Held(state, {each: answer for each, answer in held.answers.items() if each != name})

    def adopt(self, held: Held) -> tuple[Held, str, str]:
        """What there is then, the engine's name of the found key, and its warning."""
        assert isinstance(self.engine, Adopts)
        assert self.found is not None
        with self._room() as scratch:
            taken = self.engine.adopt(scratch, held.state, self.found)
        return held.and_(taken.made), taken.made.object_id, taken.warning

    def prove(self, held: Held) -> None:
        with self._room() as scratch:
            self.engine.prove(scratch, held.state, held.answers)

    @contextmanager
    def opened(self, held: Held) -> Iterator[None]:
        with self._room() as room:
            self.engine.open(room, held.state)
            try:
                yield
            finally:
                self.engine.close()

    def proved(self, held: Held) -> bool:
        """Whether each key of *held*, which is open, opens what it closed at its birth."""
        return all(
            self.engine.unwrap(name, answer, key_id.PROBE_AAD) == key_id.PROBE_PLAINTEXT
            for name, answer in held.answers.items()
        )

    def opens(self, held: Held) -> bool:
        with self.opened(held):
            return self.proved(held)

    def left(self) -> list[Path]:
        """What is beside the scratch rooms, and in their place when they are gone."""
        root = self.memory_dir.parent
        return [path for path in root.rglob("*") if path != self.memory_dir]

    def _room(self) -> AbstractContextManager[Path]:
        return memory.room(self.memory_dir)


def damaged(held: Held, how: str) -> Held:
    """Every file of it is "gone", "empty" or "cut" in the middle."""
    files = {} if how == "gone" else dict(held.state.files)
    for name, data in files.items():
        files[name] = data[: len(data) // 2] if how == "cut" else b""
    return replace(held, state=EngineState(files))
