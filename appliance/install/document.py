"""YAML and JSON, as strictly as the API server reads them: no key twice, nothing that grows on the way."""

import json
from typing import Any

import yaml

Json = dict[str, Any]
# In bytes. The files of a control plane are a few thousand long.
MOST = 1024 * 1024
# What a document may come to once every alias stands for what it means.
_MOST_NODES = 100_000


def read(data: bytes) -> list[Any]:
    """The documents in a file. Raises ValueError with a reason that quotes nothing of it."""
    if data.lstrip().startswith(b"{"):
        try:  # the one kind of JSON that PyYAML does not take: with tabs
            return [json.loads(data, object_pairs_hook=_once)]
        except (ValueError, RecursionError):
            pass  # YAML may begin so, too
    try:
        return _yaml(data)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"not YAML{line}") from None
    except (yaml.YAMLError, OverflowError, RecursionError):
        raise ValueError("not YAML") from None


def read_one(data: bytes) -> Json:
    """The only document in a file, a mapping. Raises ValueError."""
    found = read(data)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise ValueError("several documents" if len(found) > 1 else "no mapping")
    return found[0]


def listed(found: Any, *names: str) -> list[Any]:  # noqa: ANN401
    """The list below *names*; empty where anything on the way has another shape."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def mappings(found: Any, *names: str) -> list[Json]:  # noqa: ANN401
    """The mappings in such a list."""
    return [each for each in listed(found, *names) if isinstance(each, dict)]


def _once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _yaml(data: bytes) -> list[Any]:
    loader = yaml.SafeLoader(data)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            _measure(node, {})
            found.append(loader.construct_document(node))
    finally:
        loader.dispose()
    return found


def _measure(node: yaml.Node | None, sizes: dict[int, int]) -> int:
    """How many nodes it comes to. PyYAML shares what aliases name, but multiplies it under `<<`."""
    size = sizes.get(id(node))
    if size is not None:
        if not size:
            raise ValueError("an alias of itself")
        return size
    sizes[id(node)] = 0
    size = 1
    match node:
        case yaml.MappingNode():
            _refuse_twice(node)
            size += sum(_measure(each, sizes) for pair in node.value for each in pair)
        case yaml.SequenceNode():
            size += sum(_measure(each, sizes) for each in node.value)
    if size > _MOST_NODES:
        raise ValueError("aliases that make too much of it")
    sizes[id(node)] = size
    return size


def _refuse_twice(node: yaml.MappingNode) -> None:
    """PyYAML lets the last of equal keys win in silence; the API server refuses them."""
    names = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if len(names) != len(set(names)):
        raise ValueError(f"a key twice below line {node.start_mark.line + 1}")
