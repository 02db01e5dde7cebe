"""What an attack is: done to the socket at *path*, of a size, with some words on how the server took it."""

from collections.abc import Callable, Coroutine
from pathlib import Path

Attack = Callable[[Path, int], Coroutine[None, None, str]]
