"""What `etcdctl get /registry --prefix -w json` printed, as a stream: memory for one value, never for all."""

import binascii
from collections.abc import Iterator
from typing import IO

import ijson

from appliance import faults
from appliance.faults import KleidiError

_CHUNK = 1 << 18


class Etcdctl:
    """One document. Its last field is the number of objects: that, and its end, tell that it is whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
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
        except (OSError, ValueError) as error:
            raise _invalid(f"after {number} objects: {' '.join(str(error).split())}") from error
        if number != self.total or not self.revision:
            raise _invalid(f"{number} objects of {self.total}; was there a --limit?")
        if number and not values:
            raise _invalid("no values; was it --keys-only?")

    def _entries(self) -> Iterator[tuple[bytes, bytes | None]]:
        key = value = None
        for where, event, found in ijson.parse(self._stream, buf_size=_CHUNK):
            if where == "kvs.item.value" and event == "string":
                value = binascii.a2b_base64(found, strict_mode=True)
            elif where == "kvs.item.key" and event == "string":
                key = binascii.a2b_base64(found, strict_mode=True)
            elif where == "kvs.item" and event == "end_map":
                if key is None:
                    raise ValueError("an object without a key")
                yield key, value
                key = value = None
            elif where == "header.revision" and isinstance(found, int):
                self.revision = found
            elif where == "count" and isinstance(found, int):
                self.total = found


def _invalid(detail: str) -> KleidiError:
    return KleidiError(faults.ETCDCTL_INVALID, detail)
