"""What an engine is put to work with: each act in a scratch room of its own, as the appliance does it."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from appliance.keys import key_id
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.ops.workshop import TokenChanger
from appliance.provision.apply import TokenMaker
from appliance.service.opened import TokenOpener
from appliance.volume import memory
from appliance.volume.payload import FoundToken, TokenImage

LINEAGE = "0123456789ab"


class Engine(TokenMaker, TokenChanger, TokenOpener, Protocol):
    """The whole port; whoever uses an engine knows a part of it."""


@dataclass(frozen=True)
class Held:
    """An image, and what each key on it answers to the probe, by the engine's name of the key."""

    image: TokenImage
    answers: Mapping[str, bytes]

    @property
    def keyset(self) -> KeySet:
        """The first key is the primary one."""
        states = [KeyState.PRIMARY, *[KeyState.RETIRED] * (len(self.answers) - 1)]
        listed = enumerate(zip(states, self.answers.items(), strict=True), 1)
        return KeySet(LINEAGE, tuple(Key(LINEAGE, version, state, *key) for version, (state, key) in listed))


@dataclass(frozen=True)
class Bench:
    """*found* is a token that another program made, and *theirs* the key on it."""

    engine: Engine
    memory_dir: Path
    found: FoundToken
    theirs: bytes

    def make(self) -> Held:
        name = secrets.token_hex(16)
        with self._room() as scratch:
            image, answer = self.engine.make(scratch, name)
        return Held(image, {name: answer})

    def extend(self, held: Held, name: str = "") -> Held:
        chosen = name or secrets.token_hex(16)
        with self._room() as scratch:
            image, answer = self.engine.extend(scratch, held.image, chosen)
        return Held(image, {**held.answers, chosen: answer})

    def reduce(self, held: Held, name: str) -> Held:
        with self._room() as scratch:
            image = self.engine.reduce(scratch, held.image, name)
        return Held(image, {each: answer for each, answer in held.answers.items() if each != name})

    def adopt(self, held: Held) -> tuple[Held, str, bool]:
        """What there is then, the engine's name of the found key, and whether it was kept encrypted."""
        with self._room() as scratch:
            taken = self.engine.adopt(scratch, held.image, self.found)
        answers = {**held.answers, taken.object_id: taken.known_answer}
        return Held(taken.image, answers), taken.object_id, taken.private

    def prove(self, held: Held) -> None:
        with self._room() as scratch:
            self.engine.prove(scratch, held.image, held.keyset)

    @contextmanager
    def opened(self, held: Held) -> Iterator[None]:
        with self._room() as room:
            self.engine.open(room, held.image)
            try:
                yield
            finally:
                self.engine.close()

    def answer(self, name: str) -> bytes:
        """What a key of the open token makes of the probe."""
        return self.engine.encrypt(name, key_id.PROBE_NONCE, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)

    def answers(self, held: Held) -> dict[str, bytes]:
        """What the keys of *held* make of the probe, once it is open."""
        with self.opened(held):
            return {name: self.answer(name) for name in held.answers}

    def left(self) -> list[Path]:
        """What is beside the scratch rooms, and in their place when they are gone."""
        root = self.memory_dir.parent
        return [path for path in root.rglob("*") if path != self.memory_dir]

    def _room(self) -> AbstractContextManager[Path]:
        return memory.room(self.memory_dir)


def damaged(held: Held, how: str) -> Held:
    """Every file of it is "gone", "empty" or "cut" in the middle."""
    files = {} if how == "gone" else dict(held.image.files)
    for name, data in files.items():
        files[name] = data[: len(data) // 2] if how == "cut" else b""
    return replace(held, image=replace(held.image, files=files))
