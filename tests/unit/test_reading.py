"""How the code may touch files: what others could have put there is never opened blindly, nor listed untold.

Whoever has to do otherwise says here why.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

KERNEL = "the kernel's own file"
OPERATOR = "named by an operator, who may mean a pipe"
CONVERTED = "its owner turns it into regular.read"
# By module and call; the number is how often.
OPENED = {
    ("appliance/cli/ending.py", "os.open"): (1, "/dev/null"),
    ("appliance/given.py", "open"): (1, OPERATOR),
    ("appliance/handed.py", "os.open"): (1, "a piece of memory without a name, by its descriptor"),
    ("appliance/volume/durable.py", "os.open"): (
        1,
        "a name of its own, in a directory that is open: exclusive",
    ),
    ("softhsm/module.py", "os.open"): (1, "it is looked at before it is read: a regular file or none"),
    ("softhsm/module.py", "open"): (1, "this process's own program"),
    ("appliance/age/free_memory.py", "read_text"): (6, KERNEL),
    ("appliance/backup/restore.py", "write_bytes"): (1, "in a directory that it has just made"),
    ("appliance/backup/restore.py", "write_text"): (1, "in a directory that it has just made"),
    ("appliance/boot.py", "os.open"): (1, "/dev/null"),
    ("appliance/boot.py", "open"): (1, "where the kubelet mounts the termination log"),
    ("appliance/pkcs11/pin_file.py", "os.open"): (
        1,
        "its owner and mode are looked at as well, and a mounted Secret is a link",
    ),
    ("appliance/tpm/device.py", "os.open"): (1, "a device: looked at, and used by a thread that may hang"),
    ("appliance/install/tpm_relay.py", "os.open"): (1, "a device, on the host and with nothing of ours"),
    ("appliance/install/chip.py", "read_text"): (1, "a module of this package, for the host"),
    ("appliance/service/metrics/process.py", "read_text"): (2, KERNEL),
    ("appliance/cli/install.py", "write_text"): (1, OPERATOR),
    ("appliance/volume/generations.py", "os.open"): (2, CONVERTED),
    ("appliance/service/sockets/listener.py", "os.open"): (1, CONVERTED),
    ("appliance/volume/mounts.py", "read_text"): (1, KERNEL),
}
LISTED = {
    ("appliance/install/rooted.py", "iterdir"): (1, "its owner turns errors into faults of the installer"),
    ("appliance/service/metrics/process.py", "iterdir"): (1, KERNEL),
    ("appliance/volume/audit/files.py", "iterdir"): (1, "inside of the log's own translation"),
    ("appliance/volume/generations.py", "listdir"): (1, "by descriptor, inside of the volume's translation"),
    ("appliance/volume/generations.py", "iterdir"): (1, "by path, inside of the volume's translation"),
    ("appliance/volume/durable.py", "iterdir"): (1, "this is the place"),
    ("appliance/volume/memory.py", "fwalk"): (1, "what cannot be removed is left"),
    ("softhsm/directory.py", "iterdir"): (1, "this is the place of the room that knows no faults"),
    ("softhsm/library.py", "glob"): (1, "where a distribution puts its modules"),
    ("appliance/install/node.py", "iterdir"): (1, CONVERTED),
}

_OPENERS = {"read_bytes", "read_text", "write_bytes", "write_text"}
_LISTERS = {"glob", "rglob", "iterdir", "scandir", "listdir", "walk", "fwalk"}
# What opens a directory, or only what is regular and no link, or makes something new.
_CAREFUL = {"O_DIRECTORY", "O_PATH", "O_NOFOLLOW", "O_EXCL"}


def modules() -> Iterator[Path]:
    for room in ("appliance", "softhsm"):
        yield from (path for path in (ROOT / room).rglob("*.py") if path.name != "regular.py")


def opened(call: ast.Call) -> str:
    """How *call* opens a file by name, if it does."""
    match call.func:
        case ast.Name(id="open"):
            return "open"
        case ast.Attribute(value=ast.Name(id="os"), attr="open"):
            nodes = (node for argument in call.args for node in ast.walk(argument))
            flags = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            return "" if flags & _CAREFUL else "os.open"
        case ast.Attribute(attr="open") if _as_a_path_is(call):
            return "open"
        case ast.Attribute(attr=name) if name in _OPENERS:
            return name
    return ""


def _as_a_path_is(call: ast.Call) -> bool:
    """By a mode, or of a Path that is made on the spot: sessions, rooms and seals are opened as well."""
    mode = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
    return ast.unparse(call.func).startswith("Path(") or (
        isinstance(mode, str) and {*mode} & {*"rwax"} != set()
    )


def listed(call: ast.Call) -> str:
    """How *call* lists a directory, if it does."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name if name in _LISTERS else ""


def found(what: str) -> Counter[tuple[str, str]]:
    ways = {"opened": opened, "listed": listed}
    counts: Counter[tuple[str, str]] = Counter()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (name := ways[what](node)):
                counts[str(path.relative_to(ROOT)), name] += 1
    return counts


@pytest.mark.parametrize(("what", "allowed"), [("opened", OPENED), ("listed", LISTED)])
def test_files_are_read_and_directories_listed_in_one_way(
    what: str, allowed: dict[tuple[str, str], tuple[int, str]]
) -> None:
    assert found(what) == {place: number for place, (number, _) in allowed.items()}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("open(x)", "open"),
        ("path.open('rb')", "open"),
        ("Path(x).open()", "open"),
        ("path.read_text()", "read_text"),
        ("os.open(path, os.O_RDONLY | os.O_CREAT)", "os.open"),
        ("os.open(path, os.O_RDONLY | os.O_NOFOLLOW)", ""),
        ("token.open(pin)", ""),
        ("token.open()", ""),
    ],
)
def test_what_opens_a_file_is_recognised(code: str, name: str) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert opened(call) == name
