"""The reader of requests against whatever bytes may come: it answers, or refuses in a word."""

import re
from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.service.sockets.request import END, RefusedError, Request, read

_TOKENS = st.text("abcXYZ019-_!~", min_size=1, max_size=12)
_VALUES = st.text(st.characters(codec="latin-1", exclude_characters="\r\n", exclude_categories=["Cc"]))
_QUERIES = st.text("abc=&%;+/?!~", max_size=40)
# What a request is made of, in any order.
_PIECES = [
    b"GET ",
    b"/livez",
    b"?verbose",
    b" HTTP/1.1",
    b"\r\n",
    b"\n",
    b"Host: ",
    b"x",
    b":",
    b" ",
    b"\x00",
]
REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_URI_TOO_LONG,
}


def read_or_refused(data: bytes) -> Request | RefusedError:
    try:
        return read(data + END)
    except RefusedError as refused:
        return refused


def request(*fields: str) -> Request:
    return read("\r\n".join(["GET / HTTP/1.1", *fields, "", ""]).encode("latin-1"))


@given(st.binary(max_size=300) | st.lists(st.sampled_from(_PIECES), max_size=20).map(b"".join))
@example(b"GET /?%00=%0d%0a HTTP/1.1\r\nHost: \xff")
def test_whatever_comes_is_a_request_or_a_refusal(data: bytes) -> None:
    found = read_or_refused(data)
    if isinstance(found, RefusedError):
        assert found.status in REFUSALS
        assert found.words.isprintable()
    else:
        assert data.startswith(f"GET {found.path}".encode())
        assert re.fullmatch(r"/[!->@-~]*", found.path)
        assert found.names_us in (True, False)


@given(st.lists(st.tuples(_TOKENS, _VALUES), max_size=8), _QUERIES)
def test_what_is_rightly_asked_is_read_whatever_else_is_said(
    fields: list[tuple[str, str]], query: str
) -> None:
    said = [f"{name}: {value}" for name, value in fields if name.lower() != "host"]
    asked = read("\r\n".join([f"GET /readyz?{query} HTTP/1.0", *said, "", ""]).encode("latin-1"))
    assert (asked.path, asked.hosts) == ("/readyz", ())


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:9643", "127.0.0.1", "127.0.0.1:9643", "[::1]", "[::1]:9643", "10.0.0.7:80"],
)
def test_addresses_and_localhost_are_names_of_ours(host: str) -> None:
    assert request(f"Host: {host}").names_us
    assert request("X: y", f"hOST:{host} ").names_us


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Host:",),
        ("Host: evil.example",),
        ("Host: localhost.evil.example",),
        ("Host: 127.0.0.1.evil.example:9643",),
        ("Host: 127.0.0.1@evil.example",),
        ("Host: 127.1",),
        ("Host: 2130706433",),
        ("Host: ::1",),
        ("Host: [::1",),
        ("Host: [localhost]",),
        ("Host: localhost:port",),
        ("Host: localhost:123456",),
        ("Host: localhost, evil.example",),
        ("Host: localhost", "Host: localhost"),
        ("Host: localhost", "Host: evil.example"),
    ],
    ids=" ".join,
)
def test_every_other_name_is_somebody_elses(fields: tuple[str, ...]) -> None:
    assert not request(*fields).names_us


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]@%", max_size=30))
def test_no_name_of_the_dns_is_ours(host: str) -> None:
    """What a browser would look up: anything with a letter that is no address and not localhost."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    looked_up = any(letter in name for letter in "ghijklmnopqrstuvwxyz") and name != "localhost"
    assert not (looked_up and request(f"Host: {host}").names_us)
