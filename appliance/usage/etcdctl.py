"""What `etcdctl get /registry --prefix -w json` printed, as a stream: memory for one value, never for all."""

import binascii
from collections.abc import Iterator, Mapping
from typing import IO

import ijson

from appliance import faults
from appliance.faults import KleidiError

_CHUNK = 1 << 18
# etcd takes values of 1.5 MiB (--max-request-bytes says otherwise), base64 makes a third more of them. What
# lasts longer is no value, and the parser would keep all of it.
_LONGEST = 64 << 20
_OPENS = {"start_map": "{", "start_array": "["}
_CLOSES = ("end_map", "end_array")
_ANSWER, _HEADER, _OBJECT = "{", "{{", "{[{"  # what is open around a field of each
_DEEPEST = 8


class Etcdctl:
    """One document. Its last field is the number of objects: that, and its end, tell that it is whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = _Impatient(stream)
        self.revision = 0
        self.total = 0

    def objects(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values. Raises E-ETCDCTL-INVALID unless it was one whole document of etcdctl's."""
        number = values = 0
        try:
            for key, value in self._entries():
                number += 1
                values += value is not None
                yield key, value or b""
        except ijson.JSONError as error:
            # Its message quotes the document, which may hold somebody's secret.
            raise _invalid(f"not whole JSON after {number} objects") from error
        except OSError as error:
            raise KleidiError(faults.INPUT_UNREADABLE, f"after {number} objects: {error.strerror}") from error
        except ValueError as error:
            raise _invalid(f"after {number} objects: {' '.join(str(error).split())}") from error
        if number != self.total or not self.revision:
            raise _invalid(f"{number} objects of {self.total}; was there a --limit?")
        if number and not values:
            raise _invalid("no values; was it --keys-only?")

    def _entries(self) -> Iterator[tuple[bytes, bytes | None]]:
        # ijson.parse would keep the path to each field as text, of any depth for a whole chunk ahead.
        shape = field = name = ""
        entry: dict[str, str] = {}
        for event, found in ijson.basic_parse(self._stream, buf_size=_CHUNK):
            self._stream.since = 0
            if event in _OPENS:
                shape += _OPENS[event]
                if len(shape) > _DEEPEST:
                    raise ValueError("nested too deep")
            elif event in _CLOSES:
                if shape == _OBJECT:
                    if field == "kvs":
                        yield _decoded(entry)
                    entry = {}
                shape = shape[:-1]
            elif event == "map_key":
                field, name = (found, "") if shape == _ANSWER else (field, found)
            elif shape == _OBJECT and event == "string" and name in ("key", "value"):
                entry[name] = found
            elif event == "number" and isinstance(found, int):
                self._note(shape, field, name, found)

    def _note(self, shape: str, field: str, name: str, number: int) -> None:
        if (shape, field, name) == (_HEADER, "header", "revision"):
            self.revision = number
        elif (shape, field) == (_ANSWER, "count"):
            self.total = number


def _decoded(entry: Mapping[str, str]) -> tuple[bytes, bytes | None]:
    if "key" not in entry:
        raise ValueError("an object without a key")
    value = entry.get("value")
    key = binascii.a2b_base64(entry["key"], strict_mode=True)
    return key, None if value is None else binascii.a2b_base64(value, strict_mode=True)


class _Impatient:
    """A stream that ends in an error when too much is read without anything's coming of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.since = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.since += len(data)
        if self.since > _LONGEST:
            raise ValueError(f"one value of more than {_LONGEST >> 20} MiB")
        return data


def _invalid(detail: str) -> KleidiError:
    return KleidiError(faults.ETCDCTL_INVALID, detail)
