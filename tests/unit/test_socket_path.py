"""An endpoint means to us exactly what it means to the API server, or it is refused."""

import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.endpoint import EndpointError, socket_path

# url.Parse and ParseEndpoint of Go, for what has no host, query or fragment: scheme, then the path's bytes.
STRICT = re.compile(rb"(?:unix:(?://(?=/)|(?!//)))?(/[^\x00-\x1f\x7f?#]*)", re.IGNORECASE)
ENCODED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/run/kleidi/kms.sock", "/run/kleidi/kms.sock"),
        ("unix:///run/kleidi/kms.sock", "/run/kleidi/kms.sock"),
        ("unix:/run/kleidi/kms.sock", "/run/kleidi/kms.sock"),
        ("UNIX:///run/kms.sock", "/run/kms.sock"),
        ("unix:///run/my%20kms.sock", "/run/my kms.sock"),
    ],
)
def test_reads_a_path_or_a_url(text: str, path: str) -> None:
    assert socket_path(text) == Path(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kms.sock",
        "run/kms.sock",
        "unix://var/run/kms.sock",  # a host: silently /run/kms.sock
        "unix://@kleidi",
        "unix:@kleidi",
        "unix:kms.sock",
        "unix:///@kleidi",
        "/@kleidi",
        "@kleidi",
        "unix://",
        "unix:///",
        "/",
        "/run/",
        "/run/../etc/kms.sock",
        "/run/./kms.sock",
        "/run//kms.sock",
        "unix:///run/kms.sock?mode=1",
        "unix:///run/kms.sock?",
        "unix:///run/kms.sock#",
        "/run/kms.sock#1",
        "/run/kms?.sock",
        "/run/100%.sock",
        "unix:///run/100%25.sock",
        "unix:///run/%00.sock",
        "tcp:///run/kms.sock",
        "http://localhost/run/kms.sock",
        "unix://[/run/kms.sock",
        "/run/a\nb.sock",
        "/" + "x" * 107,
    ],
)
def test_refuses_whatever_has_a_second_reading(text: str) -> None:
    with pytest.raises(EndpointError):
        socket_path(text)


@pytest.mark.parametrize(
    "text", ["unix:///run/k\tms.sock", "unix:///run/kms.sock\n", " unix:///run/kms.sock", "\x00unix:///a"]
)
def test_refuses_what_go_refuses_and_python_cleans_up(text: str) -> None:
    with pytest.raises(EndpointError):
        socket_path(text)


@pytest.mark.parametrize("text", ["unix:///run/%ff.sock", "unix:///run/%C3.sock"])
def test_refuses_encoded_bytes_that_are_no_text(text: str) -> None:
    with pytest.raises(EndpointError):
        socket_path(text)


@pytest.mark.parametrize("text", ["//run/kms.sock", "unix:////run/kms.sock"])
def test_two_slashes_are_not_the_shortest_form(text: str) -> None:
    with pytest.raises(EndpointError):
        socket_path(text)


def test_every_complaint_shows_what_it_is_about_in_one_line() -> None:
    with pytest.raises(EndpointError) as caught:
        socket_path("kms\n.sock")
    assert repr("kms\n.sock") in str(caught.value)
    assert "\n" not in str(caught.value)


PIECES = st.sampled_from(
    [
        "unix:",
        "UNIX:",
        "unix://",
        "/",
        "//",
        "run",
        "kms.sock",
        "@",
        ".",
        "..",
        "%2f",
        "%C3%A9",
        "%zz",
        "?",
        "#",
    ]
) | st.text(max_size=3)


@given(st.lists(PIECES, max_size=8).map("".join))
@example("unix:////a")
@example("unix:%2fa")
def test_the_result_is_an_absolute_path_and_what_a_strict_reading_says(text: str) -> None:
    try:
        path = socket_path(text)
    except EndpointError:
        return
    assert path.is_absolute()
    assert ".." not in path.parts
    assert len(bytes(path)) <= 107
    raw = text.encode("utf-8", "surrogatepass")
    match = STRICT.fullmatch(raw)
    assert match, "not one that Go reads"
    written = match[1]
    if raw.startswith(b"/"):
        assert bytes(path) == raw
    else:
        assert not ENCODED.search(written)
        assert bytes(path) == unquote_to_bytes(written)


@given(st.from_regex(r"/[a-z0-9._ -]{1,20}(/[a-zé0-9._-]{1,20}){1,2}", fullmatch=True))
def test_a_path_and_its_url_mean_the_same(text: str) -> None:
    try:
        path = socket_path(text)
    except EndpointError:
        with pytest.raises(EndpointError):
            socket_path("unix://" + quote(text))
    else:
        assert socket_path("unix://" + quote(text)) == path
