"""Files that decide what the API server does: one that cannot be read is a fault with its path."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from appliance import faults
from appliance.faults import KleidiError
from appliance.install import document, encryption
from appliance.install.document import Json
from appliance.install.rooted import Rooted


@contextmanager
def readable(node: Rooted, path: str) -> Iterator[None]:
    """Turns OSError and ValueError into E-INSTALL-UNREADABLE."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise KleidiError(faults.INSTALL_UNREADABLE, f"{node.at(path)}: {reason}") from error


def mapping(node: Rooted, path: str) -> Json | None:
    """The one document of a file, None where there is none or nothing in it."""
    with readable(node, path):
        data = node.read(path, document.MOST)
        return document.read_one(data) if data is not None and data.strip() else None


def configuration(node: Rooted, path: str) -> Json | None:
    """The EncryptionConfiguration there, None where there is no such file."""
    with readable(node, path):
        data = node.read(path, document.MOST)
        if data is None:
            return None
        found = document.read_one(data)
        encryption.check(found)
        return found


def mentioning(node: Rooted, path: str, word: str) -> list[Json]:
    """The documents of a file that has *word* anywhere: what the others say is not ours to judge."""
    with readable(node, path):
        data = _contents(node, path)
        found = document.read(data) if word.encode() in data else []
    return [each for each in found if isinstance(each, dict)]


def _contents(node: Rooted, path: str) -> bytes:
    try:
        return node.read(path, document.MOST) or b""
    except OSError as error:
        if (
            error.errno == errno.EINVAL
        ):  # a directory or a device (regular.py), of which no kubelet makes a pod
            return b""
        raise
