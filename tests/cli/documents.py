"""Every document that a command prints as JSON, and whether something is one of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from appliance.backup.report import Created, Examined, Restored
from appliance.cli.anchor import Known
from appliance.cli.audit import Tail, Verification
from appliance.cli.ending import Refused
from appliance.cli.explain import Explained
from appliance.cli.nodes import Invitation
from appliance.cli.slots import SlotList
from appliance.cli.tpm import Shown
from appliance.cli.transit import TransitCheck, TransitRotated
from appliance.cli.version import Version
from appliance.client.keys import KeyCheck, KeyList
from appliance.client.report import Changed, Report
from appliance.documents import Document
from appliance.pkcs11.checked import Checked
from appliance.usage.report import Count

DOCUMENTS: tuple[type[Document], ...] = (
    Report,
    KeyList,
    KeyCheck,
    Changed,
    Count,
    Created,
    Examined,
    Restored,
    SlotList,
    Invitation,
    Known,
    Checked,
    Shown,
    Verification,
    Tail,
    TransitCheck,
    TransitRotated,
    Version,
    Explained,
    Refused,
)
_SIMPLE = {str: "text", int: "number", bool: "true or false", Any: "anything", type(None): "null"}


def fields(described: Any) -> dict[str, tuple[Any, str]]:  # noqa: ANN401
    """Each field's type and meaning; every field must have one."""
    hints = get_type_hints(described, include_extras=True)
    found = {}
    for field in dataclass_fields(described):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated, f"{described.__name__}.{field.name} has no meaning"
        found[field.name] = (hint.__origin__, hint.__metadata__[0])
    return found


def parts() -> list[type]:
    """The classes that documents are made of, in the order in which they come up."""
    found: dict[type, None] = {}

    def look(described: type) -> None:
        for kind, _ in fields(described).values():
            for part in _dataclasses(kind):
                if part not in found:
                    found[part] = None
                    look(part)

    for document in DOCUMENTS:
        look(document)
    return list(found)


def _dataclasses(kind: Any) -> Iterator[type]:  # noqa: ANN401
    if isinstance(kind, type) and is_dataclass(kind):
        yield kind
    for inner in get_args(kind):
        yield from _dataclasses(inner)


def shown(kind: Any) -> str:  # noqa: ANN401
    """The type in words, with a link to where it is told."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return " or ".join(shown(each) for each in inner)
    if origin in (list, tuple):
        return f"list of {shown(inner[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {shown(inner[1])}"
    if isinstance(kind, type) and is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return "text" if issubclass(kind, StrEnum) else _SIMPLE[kind]


def check(text: str) -> dict[str, Any]:
    """The fields of a document, which is exactly what its schema says."""
    found: dict[str, Any] = json.loads(text)
    (document,) = [each for each in DOCUMENTS if each.schema == found["schema"]]
    _demand(document, {name: value for name, value in found.items() if name != "schema"}, document.schema)
    return found


def _demand(kind: Any, value: Any, where: str) -> None:  # noqa: ANN401
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or (origin is UnionType and value is None):
        return
    if origin is UnionType:
        _demand(next(each for each in inner if each is not type(None)), value, where)
    elif origin in (list, tuple):
        assert type(value) is list, where
        for number, each in enumerate(value):
            _demand(inner[0], each, f"{where}[{number}]")
    elif origin is not None:
        assert type(value) is dict, where
        for name, each in value.items():
            _demand(inner[1], each, f"{where}.{name}")
    elif is_dataclass(kind):
        known = fields(kind)
        assert set(value) == set(known), where
        for name, (each, _) in known.items():
            _demand(each, value[name], f"{where}.{name}")
    else:
        assert type(value) is (str if issubclass(kind, StrEnum) else kind), f"{where} is {value!r}"
