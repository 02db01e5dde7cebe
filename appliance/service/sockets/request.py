"""The head of a request, read strictly: what is asked for, and by which name of ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import parse_qs

from appliance.service.sockets import limits

END = b"\r\n\r\n"
# What stands behind the `?`: every value of a name, in their order.
Query = Mapping[str, Sequence[str]]

_REQUEST = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t -~\x80-\xff]*)")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(:[0-9]{1,5})?")


class RefusedError(Exception):
    """No request that is answered: with this *status* and these *words*."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        self.status = status
        self.words = words
        super().__init__(words)


@dataclass(frozen=True)
class Request:
    path: str
    query: Query
    hosts: tuple[str, ...]

    @property
    def names_us(self) -> bool:
        """Whether it was sent to an address, or to localhost.

        A page in a browser can have its own name lead to this machine, and then reads what is answered
        (DNS rebinding); but the name goes with its request.
        """
        found = _HOST.fullmatch(self.hosts[0]) if len(self.hosts) == 1 else None
        return found is not None and (found[1].lower() == "localhost" or _is_address(found[1].strip("[]")))


def read(head: bytes) -> Request:
    """*head* with the empty line that ends it. Raises RefusedError."""
    line, *fields = head.removesuffix(END).split(b"\r\n")
    if len(line) > limits.LINE:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, f"at most {limits.LINE} bytes")
    asked = _REQUEST.fullmatch(line)
    if asked is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.1")
    if asked[1] != b"GET":
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "only GET")
    path, _, query = asked[2].decode().partition("?")
    return Request(path, parse_qs(query, keep_blank_values=True), tuple(_hosts(fields)))


def _hosts(fields: Sequence[bytes]) -> list[str]:
    hosts = []
    for field in fields:
        found = _FIELD.fullmatch(field)
        if found is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a header that is none")
        if found[1].lower() == b"host":
            hosts.append(found[2].decode("latin-1").strip())
    return hosts


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
