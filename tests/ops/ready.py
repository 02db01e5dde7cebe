"""A volume made ready for each verb, and copies of it to be disturbed; no server runs."""

import dataclasses
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.engines.softhsm import SoftHsmEngine
from appliance.keys.keyring import Wrapped
from appliance.ops.operations import Verb
from softhsm import Library
from tests.ops.shop import Node, Shop
from tests.token.foreign_program import PIN, ForeignProgram
from tests.volume.traced import require_strace

# Two at a time: more only wait for each other. SoftHSM is one for the whole process.
AT_ONCE = 2
TOKEN = threading.Lock()
KILL = "signal=SIGKILL"
LABEL = "kleidi-kms-plugin"


@dataclass(frozen=True)
class Try:
    """A verb on a volume that is ready for it; *before* is what was announced, *goal* the states after it."""

    node: Node
    command: tuple[str, ...]
    before: tuple[Wrapped, ...]
    goal: tuple[str, ...]

    def copied(self, name: str, memory: Path) -> "Try":
        root = self.node.root.with_name(f"{self.node.root.name}-{name}")
        shutil.copytree(self.node.root, root)
        return dataclasses.replace(self, node=Node(root, memory / secrets.token_hex(4)))


Prepare = Callable[[str], Try]


@pytest.fixture
def prepare(tmp_path: Path, memory_dir: Path) -> Iterator[Prepare]:
    require_strace()
    engine = SoftHsmEngine()

    def ready(verb: str) -> Try:
        node = Node(tmp_path / verb, memory_dir / verb).build()
        shop = Shop(node, engine)
        shop.clocks.unix = 0  # long ago for the command's own clock
        before: list[Wrapped] = [shop.wrap()]
        command: tuple[str, ...] = ("key", verb)
        goal = ("primary", "staged")
        match verb:
            case "promote":
                shop.run(Verb.STAGE)
                command, goal = ("key", verb, "v2"), ("retired", "primary")
            case "rotate":
                goal = ("retired", "primary")
            case "disable" | "destroy":
                shop.run(Verb.ROTATE)
                before.append(shop.wrap())
                command, goal = ("key", verb, "v1", "--stored", "0"), ("disabled", "primary")
            case "adopt":
                command, goal = adoption(tmp_path), ("primary", "retired")
        if verb == "destroy":
            key = shop.run(Verb.DISABLE, "v1", stored=0).key
            command, goal = (*command, "--key-id", key.id), ("destroyed", "primary")
        return Try(node, command, tuple(before), goal)

    yield ready
    engine.close()


def adoption(tmp_path: Path) -> tuple[str, ...]:
    tokens, library = tmp_path / "foreign" / "tokens", Library.find()
    tokens.mkdir(parents=True)
    program = ForeignProgram(library, tokens)
    program.keygen(program.init_token("kleidi"), LABEL)
    library.unload()
    (tmp_path / "pin").write_text(PIN)
    return ("adopt", str(tokens), "--pin-file", str(tmp_path / "pin"))
