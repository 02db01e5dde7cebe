"""What the value of a setting must be like, so that no layer below meets one that it cannot take."""

import grp
import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from appliance.endpoint import loopback, socket_path
from appliance.slots import BY_ITSELF

# Ours are a tenth of that, and below the open token's there must be room for its own in the one line of 1023
# bytes that SoftHSM reads (SimpleConfigLoader.cpp).
_LONGEST_PATH = 512
# A filesystem takes 255; we write beside some files under longer names.
_LONGEST_NAME = 200
# The last of 32 bits is "leave it as it is" (chown(2)).
_LAST_ID = 2**32 - 2
# Hours: 36 seconds. Whoever means none writes 0.
_LEAST_WAIT = 0.01
# Bytes, in CK_TOKEN_INFO.
_SERIAL_SIZE, _LABEL_SIZE = 16, 32
_OBJECT_LABEL_SIZE = 64
_TOKEN_NAME = re.compile(r"(?:^|[;\s])\s*(serial|label)=")
_LONGEST_PARAMETERS = 1024
_LONGEST_PROVIDER = 100
_GROUP_WRITE, _OWNER_WRITE, _OTHERS_WRITE, _ALL = 0o020, 0o200, 0o002, 0o777


def _path(path: Path) -> Path:
    """The one rule for every path. Raises ValueError, as all here do."""
    text = str(path)
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    if text.startswith("//") or ".." in path.parts or not path.name:
        raise ValueError("must be in its shortest form, without '..', and more than the root")
    if len(os.fsencode(text)) > _LONGEST_PATH or len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise ValueError(f"has more than {_LONGEST_PATH} bytes, or a name of more than {_LONGEST_NAME}")
    return path


def _memory(path: Path) -> Path:
    if any(sign in str(path) for sign in "=#"):
        raise ValueError("has a '=' or '#', which SoftHSM's configuration cannot hold")
    return path


def _endpoint(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError("must be text")  # noqa: TRY004  pydantic takes only this one for a complaint
    return socket_path(str(value))


def _http(text: str) -> str:
    """Empty, or where to ask us by TCP."""
    if text:
        loopback(text)
    return text


def _octal(value: object) -> object:
    """Modes are written as chmod writes them: 0660."""
    if isinstance(value, str):
        if not re.fullmatch(r"(0o)?[0-7]{1,4}", value):
            raise ValueError("must be in octal, as chmod takes it: 0660")
        return int(value, 8)
    # TOML's 0o660 arrives as 432. What arrives as 660 or 440 is the octal number of somebody who forgot that.
    if re.fullmatch(r"[0-7]{3,4}", text := str(value)) and not int(text, 8) & _OTHERS_WRITE:
        raise ValueError(f"write it as '{text:0>4}'")
    return value


def _mode(value: int) -> int:
    if not 0 <= value <= _ALL:
        raise ValueError("must be at most 0777")
    if value & _OTHERS_WRITE:
        raise ValueError("lets every user connect and decrypt; name a group with KLEIDI_SOCKET_GROUP instead")
    if not value & (_OWNER_WRITE | _GROUP_WRITE):
        raise ValueError("lets nobody connect: that takes the right to write")
    return value


def _group(value: object) -> object:
    text = str(value) if isinstance(value, int) else value
    if not isinstance(text, str):
        return text
    if text.isascii() and text.isdigit():
        if len(text) > len(str(_LAST_ID)) or int(text) > _LAST_ID:
            raise ValueError(f"a group's number is at most {_LAST_ID}")
        return text
    try:
        grp.getgrnam(text)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"there is no group {text!r}") from None
    return text


def gid(group: str) -> int:
    """The number of a group that is a number or a name."""
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  pydantic takes only this one for a complaint
    return value


def _wait(value: float) -> float:
    if value and value < _LEAST_WAIT:
        raise ValueError(f"must be 0 or at least {_LEAST_WAIT}")
    return value


def _token(text: str) -> str:
    """The same, when `token_names` can take it."""
    serial, label = token_names(text)
    for name, value, most in (("serial", serial, _SERIAL_SIZE), ("label", label, _LABEL_SIZE)):
        if not value.isprintable() or len(value.encode(errors="replace")) > most:
            raise ValueError(f"a token's {name} has up to {most} bytes that can be printed")
    return text


def token_names(text: str) -> tuple[str, str]:
    """The serial and the label in `serial=1f2e;label=My token`; one of the two may be empty."""
    ahead, *rest = _TOKEN_NAME.split(text)
    found = {name: value.strip(" ;") for name, value in zip(rest[::2], rest[1::2], strict=True)}
    if ahead.strip(" ;") or len(found) * 2 < len(rest) or not all(found.values()) or not found:
        raise ValueError("must be serial=… or label=…, or both with a ';' between them")
    return found.get("serial", ""), found.get("label", "")


def _object_label(text: str) -> str:
    if not text.isprintable() or not 0 < len(text.encode(errors="replace")) <= _OBJECT_LABEL_SIZE:
        raise ValueError(f"must be 1 to {_OBJECT_LABEL_SIZE} bytes that can be printed")
    return text


def _parameters(text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_PARAMETERS:
        raise ValueError(f"must be up to {_LONGEST_PARAMETERS} characters that can be printed")
    return text


def _provider(name: str) -> str:
    # Printable are of all blanks and controls the space alone.
    if not 1 <= len(name) <= _LONGEST_PROVIDER or not name.isprintable() or " " in name or ":" in name:
        raise ValueError(
            f"must be 1 to {_LONGEST_PROVIDER} characters that can be printed, without blanks and ':'"
        )
    return name


def _slot(name: str) -> str:
    if name not in (known := [kind.name for kind in BY_ITSELF]):
        raise ValueError(f"must be {' or '.join(known)}")
    return name


ProviderName = Annotated[str, AfterValidator(_provider)]
AbsolutePath = Annotated[Path, AfterValidator(_path)]
MemoryPath = Annotated[Path, AfterValidator(_path), AfterValidator(_memory)]
SocketPath = Annotated[Path, BeforeValidator(_endpoint), AfterValidator(_path)]
HttpAddress = Annotated[str, AfterValidator(_http)]
Mode = Annotated[int, BeforeValidator(_octal), AfterValidator(_mode)]
Group = Annotated[str, BeforeValidator(_group)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_number)]
SlotKind = Annotated[str, AfterValidator(_slot)]
TokenNames = Annotated[str, AfterValidator(_token)]
ObjectLabel = Annotated[str, AfterValidator(_object_label)]
ModuleParameters = Annotated[str, AfterValidator(_parameters)]
Wait = Annotated[Number, AfterValidator(_wait)]
