"""What an object must be and what it should be: asked for as far as it is taken, and read back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeVar

from softhsm.pkcs11.constants import Cka, Ckr
from softhsm.pkcs11.errors import DeniedError, LostError
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.template import BIRTH, GUARDS, RARE, Value, encoded

# NSS says no more than this of an attribute that it does not know.
_REFUSALS: Final = (Ckr.FUNCTION_FAILED, Ckr.GENERAL_ERROR)

T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """*kind* is without what it is none of ours; a module that does not say is believed."""

    demanded: Mapping[Cka, Value]
    wished: Mapping[Cka, Value]
    kind: tuple[Cka, ...]

    def missing(self, session: Session, handle: int) -> list[str]:
        """What is known to be otherwise than demanded or wished for; what is not said is no reason."""
        return self._otherwise(session, handle, tuple(self._everything))

    def unlike(self, session: Session, handle: int) -> list[str]:
        """What makes it none of ours."""
        return self._otherwise(session, handle, self.kind)

    def unguarded(self, session: Session, handle: int) -> list[str]:
        """What lets it leave the token, or be used by whoever has no PIN."""
        return self._otherwise(session, handle, GUARDS)

    def unknown(self, session: Session, handle: int) -> list[str]:
        """What the token does not say of it."""
        return [kind.name for kind in self._everything if self._read(session, handle, kind) is None]

    def made(self, generate: Callable[[dict[Cka, Value]], T]) -> T:
        """With as much of what is wished for as the token takes: which one it refuses, no answer says."""
        for wished in self._wishes():
            try:
                return generate({**self.demanded, **{kind: self.wished[kind] for kind in wished}})
            except DeniedError:
                continue
            except LostError as error:
                if error.code not in _REFUSALS:
                    raise
        return generate({**self.demanded})

    @property
    def _everything(self) -> dict[Cka, Value]:
        return {**self.demanded, **self.wished, **BIRTH}

    def _otherwise(self, session: Session, handle: int, kinds: tuple[Cka, ...]) -> list[str]:
        wanted = self._everything
        return [
            kind.name
            for kind in kinds
            if self._read(session, handle, kind) not in (None, encoded(wanted[kind]))
        ]

    def _read(self, session: Session, handle: int, kind: Cka) -> bytes | None:
        wanted = self._everything[kind]
        if isinstance(wanted, bytes):
            return session.attribute(handle, kind)
        raw = session.attribute(handle, kind, len(encoded(wanted)))
        # Any byte but 0 is true.
        return encoded(raw != b"\0") if raw is not None and isinstance(wanted, bool) else raw

    def _wishes(self) -> Iterator[tuple[Cka, ...]]:
        """The most first. What one token or another was seen to refuse is left out in every combination."""
        usual = tuple(kind for kind in self.wished if kind not in RARE)
        for number in range(len(RARE), -1, -1):
            yield from ((*usual, *some) for some in combinations(RARE, number))
        yield tuple(kind for kind in usual if kind is not Cka.DERIVE)
