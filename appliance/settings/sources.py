"""Where settings come from: the environment, and below it one TOML file, which nothing of ours writes."""

import os
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from appliance import faults, regular
from appliance.faults import KleidiError
from appliance.settings.table import PREFIX, Settings

CONFIG_FILE = PREFIX + "CONFIG_FILE"
# Beside the seal key: a node's own directory, which an installation makes and never writes settings to.
DEFAULT_FILE = "/etc/kleidi/config.toml"
_KNOWN = [PREFIX + name.upper() for name in Settings.model_fields]
# A file with every setting and a comment to each has 5 KiB.
_MOST = 64 * 1024
# Values are quoted in complaints, and a line is to stay one that is read.
_LONGEST_COMPLAINT = 300


def load() -> Settings:
    """Read file and environment. Raises KleidiError of E-CONFIG whose detail names the setting."""
    # pydantic-settings passes over names that it does not know; a misspelt one must not be lost.
    _refuse({name for name in os.environ if name.startswith(PREFIX)}, [CONFIG_FILE, *_KNOWN])
    path = os.environ.get(CONFIG_FILE, DEFAULT_FILE)
    written = _written(path, needed=CONFIG_FILE in os.environ)
    _refuse(written.keys(), list(Settings.model_fields), f" of {path}")
    try:
        return Settings(**written)
    except ValidationError as error:
        raise KleidiError(faults.CONFIG, "; ".join(_complaints(error))) from None


def _written(path: str, *, needed: bool) -> dict[str, Any]:
    """What the file sets, by the names of the fields."""
    try:
        # Editors on Windows begin a file with a byte order mark. A ConfigMap's file is a link.
        text = regular.read(path, _MOST, follow=True).decode("utf-8-sig")
        import tomllib

        found = tomllib.loads(text)
    except OSError as error:
        # Who may not look into the directory has nothing to do here, and is told so elsewhere.
        shut = not os.access(Path(path).parent, os.X_OK, effective_ids=True)
        if not needed and (shut or isinstance(error, FileNotFoundError)):
            return {}
        raise _unusable(f"{error.strerror}: {path}") from None
    except UnicodeDecodeError:
        raise _unusable("not text in UTF-8; save it in that encoding") from None
    except RecursionError:
        raise _unusable("nested too deeply; every line is one setting") from None
    except ValueError as error:  # TOMLDecodeError, but also what int() and datetime() refuse
        raise _unusable(str(error)) from None
    fields = {name.lower(): value for name, value in found.items()}
    if len(fields) < len(found):
        raise _unusable("a setting is there twice, in upper and in lower case")
    if prefixed := [name for name in fields if name.startswith(PREFIX.lower())]:
        raise _unusable(f"{prefixed[0]}: names are written without the prefix there")
    return fields


def _unusable(reason: str) -> KleidiError:
    return KleidiError(faults.CONFIG, _short(f"{CONFIG_FILE}: {reason}"))


def _refuse(names: AbstractSet[str], known: list[str], where: str = "") -> None:
    for name in sorted(names - set(known)):
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise KleidiError(faults.CONFIG, f"{_short(name)}{where} is not a setting{hint}")


def _complaints(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        where = f"{PREFIX}{item['loc'][0]}: ".upper() if item["loc"] else ""
        lines.append(_short(where + item["msg"].removeprefix("Value error, ")))
    return lines


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_COMPLAINT else f"{text[:_LONGEST_COMPLAINT]}…"
