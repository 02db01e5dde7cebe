"""Where the name in front of a stored value's content ends: at which of its colons. Pure and total.

The API server looks for each name that it knows, with a colon behind; we know none of them. Only the name of
a KMS v2 provider is sure to have no colon (apiserver, pkg/apis/apiserver/validation: validateKMSConfigName).
"""

import re
from collections import Counter

# k3s and RKE2 name a key after the moment it was made at (Go's time.RFC3339): aescbckey-2026-01-02T03:04:05Z.
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d(?::\d\d){1,2}(?:\.\d+)?(?:[+-]\d\d:\d\d)?")
_COLON = re.compile(b":")
_FEW = 2


def ends(rest: bytes) -> list[int]:
    """The colons at which the name that *rest* begins with may end, the likeliest first.

    A name is text, for it was read from YAML. The content is random, and a longer name takes more of that for
    text: so the shortest comes first, but what would cut a moment in two comes last.
    """
    try:
        rest.decode()
        text = len(rest)
    except UnicodeDecodeError as error:
        text = error.start
    colons = [found.start() for found in _COLON.finditer(rest, 1, text)]
    if len(colons) > 1:
        moments = [found.span() for found in _MOMENT.finditer(rest, 0, min(text, colons[-1] + len(b":00")))]
        colons.sort(key=lambda at: any(start < at < end for start, end in moments))
    return colons


class Agreement:
    """What the values say together that were read under one name: if all may have a longer one, that is it.

    One value alone says nothing: one in a hundred has a colon so early in its content that it may have one.
    """

    def __init__(self) -> None:
        self.longer: dict[tuple[str, str], tuple[str, ...]] = {}
        self.values: Counter[tuple[str, str]] = Counter()

    def add(self, kind: str, name: str, longer: tuple[str, ...], values: int = 1) -> None:
        """So many *values* of one *kind*, read under *name*, may as well have each name that is *longer*."""
        known = self.longer.get((kind, name), longer)
        self.longer[kind, name] = tuple(each for each in known if each in longer)
        self.values[kind, name] += values

    def merge(self, other: "Agreement") -> None:
        for (kind, name), longer in other.longer.items():
            self.add(kind, name, longer, other.values[kind, name])

    def name(self, kind: str, name: str) -> str:
        longer = self.longer.get((kind, name), ())
        return longer[-1] if longer and self.values[kind, name] >= _FEW else name
