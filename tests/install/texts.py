"""Manifests as what reads them sees them: strictly."""

from typing import Any

import yaml

Json = dict[str, Any]


class _Strict(yaml.SafeLoader):
    """PyYAML lets a repeated key win silently; the API server refuses it, and so do we."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice at {node.start_mark}"
        return super().construct_mapping(node, deep)


def read(text: str) -> Json:
    found = yaml.load(text, _Strict)  # noqa: S506  a SafeLoader, only stricter
    assert isinstance(found, dict)
    return found


def unit(text: str) -> list[tuple[str, str, str]]:
    """A systemd unit's lines as (section, key, value); keys repeat there on purpose."""
    section, lines = "", []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        lines.append((section, key, value))
    return lines
