"""From a source to a tally that is complete, or to a fault; nothing in between is handed out."""

from collections.abc import Callable, Iterable
from typing import Protocol

from appliance import faults
from appliance.faults import KleidiError
from appliance.usage.tally import Tally

_EVERY = 1000


class Source(Protocol):
    """*objects* ends with a fault unless it gave all there is; the other two are right after its end."""

    @property
    def revision(self) -> int: ...
    @property
    def total(self) -> int: ...
    def objects(self) -> Iterable[tuple[bytes, bytes]]: ...


def count(source: Source, prefix: str, watch: Callable[[int], None] | None = None) -> Tally:
    """Count everything *source* has; *watch* is told now and then how many there were so far."""
    tally = Tally(prefix)
    number = 0
    for number, (key, value) in enumerate(source.objects(), 1):
        tally.add(key, value)
        if watch is not None and number % _EVERY == 0:
            watch(number)
    if number != source.total:
        raise KleidiError(faults.ETCD_INCOMPLETE, f"{number} objects of {source.total}")
    if not number:
        # A wrong prefix must not read as "nothing uses this key".
        raise KleidiError(faults.ETCD_EMPTY, prefix)
    tally.finish(source.revision)
    return tally
