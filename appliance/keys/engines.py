"""The engines side by side, each by its name."""

from collections.abc import Callable, Iterator, Mapping

from appliance import faults
from appliance.faults import KleidiError
from appliance.keys.engine import Engine


class Engines(Mapping[str, Engine]):
    """Each engine is made when it is asked for first: nobody pays for one that he does not use."""

    def __init__(self, factories: Mapping[str, Callable[[], Engine]]) -> None:
        self._factories = factories
        self._made: dict[str, Engine] = {}

    def __getitem__(self, name: str) -> Engine:
        """Raises E-ENGINE-UNKNOWN."""
        if name not in self._factories:
            known = ", ".join(self._factories)
            raise KleidiError(faults.ENGINE_UNKNOWN, f"{name!r}; this version has {known}")
        if name not in self._made:
            self._made[name] = self._factories[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __len__(self) -> int:
        return len(self._factories)

    @classmethod
    def of(cls, **engines: Engine) -> "Engines":
        """These, which are made already."""
        return cls({name: lambda engine=engine: engine for name, engine in engines.items()})  # type: ignore[misc]
