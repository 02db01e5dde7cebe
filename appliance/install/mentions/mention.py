"""A path that an API server is told of, and where on the node that is. Pure."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

OPTION = "encryption-provider-config"


class Mount(NamedTuple):
    """A directory or file of the node that the API server sees under another name."""

    inside: str
    outside: str


@dataclass(frozen=True)
class Mention:
    by: str  # the file on the node that says so
    path: str  # as the API server sees it
    mounts: tuple[Mount, ...] = ()
    # The distribution makes the file itself, at its first start.
    made_later: bool = False

    def outside(self, path: str) -> str:
        """Where the node has what the API server calls *path*: below the nearest mount, else the same."""
        seen = PurePosixPath(path)
        over = [mount for mount in self.mounts if seen.is_relative_to(mount.inside)]
        if not over:
            return path
        nearest = max(over, key=lambda mount: len(PurePosixPath(mount.inside).parts))
        return str(PurePosixPath(nearest.outside) / seen.relative_to(nearest.inside))


def values(words: Iterable[str], name: str) -> Iterator[str]:
    """What *words* of a command line give the option *name*, as `--name=value` or in a word of its own."""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option == f"--{name}":
            yield value if equals else next(rest, "")


def split(words: Iterable[object]) -> Iterator[str]:
    """The words, and in place of a whole shell command (`sh -c "exec kube-apiserver …"`) its own."""
    for word in map(str, words):
        try:
            yield from shlex.split(word) if any(map(str.isspace, word)) else [word]
        except ValueError:  # quotes without an end
            yield from word.split()
