"""The same endpoint string must mean the same socket to the API server and to us."""

from pathlib import Path

import pytest

from appliance.endpoint import socket_path
from tests.conformance.secretserver import SecretServer

LONGEST = "/run/" + 102 * "a"

# What the API server would dial. "@…" is an abstract socket, "" can never be dialled, None was refused.
DIALLED: dict[str, str | None] = {
    "unix:///run/kleidi/kms.sock": "/run/kleidi/kms.sock",
    "unix:/run/kleidi/kms.sock": "/run/kleidi/kms.sock",
    f"unix://{LONGEST}": LONGEST,
    f"unix://{LONGEST}a": f"{LONGEST}a",
    "unix:///@kleidi": "@kleidi",
    "unix:///@": "@",
    "unix://@kleidi": "",
    "unix:@kleidi": "",
    "unix:kms.sock": "",
    "unix:": "",
    "unix://": "",
    "unix:///": "/",
    "unix://var/run/kms.sock": "/run/kms.sock",
    "unix://localhost/run/kms.sock": "/run/kms.sock",
    "unix://user@/run/kms.sock": "/run/kms.sock",
    "unix://:80/run/kms.sock": "/run/kms.sock",
    "unix:///run/kms.sock?mode=0600": "/run/kms.sock",
    "unix:///run/kms.sock?": "/run/kms.sock",
    "unix:///run/kms.sock#one": "/run/kms.sock",
    "unix:///run/a%20b.sock": "/run/a b.sock",
    "unix:///run/a%2Fb.sock": "/run/a/b.sock",
    "unix:///run/a%00b.sock": "/run/a\0b.sock",
    "unix:///run/a%zz.sock": None,
    "": None,
    "run/kms.sock": None,
    "tcp://127.0.0.1:4242": None,
    "http:///run/kms.sock": None,
    "unix-abstract:kleidi": None,
    " unix:///run/kms.sock": None,
    "unix:///run/kms.sock\n": None,
    "unix:///run/k\nms.sock": None,
    "unix:///run/k\tms.sock": None,
}

ACCEPTED = ["unix:///run/kleidi/kms.sock", "unix:/run/kleidi/kms.sock", f"unix://{LONGEST}"]

# What the API server refuses, can never dial, finds without permissions, or reads past a part of the text.
REFUSED = [
    text
    for text, dialled in DIALLED.items()
    if not dialled or not dialled.startswith("/") or text not in {f"unix:{dialled}", f"unix://{dialled}"}
    if "%" not in text
]


def test_the_table_is_what_the_api_server_does(secretserver: SecretServer) -> None:
    verdicts = secretserver.parse_endpoints(*DIALLED)

    assert dict(zip(DIALLED, verdicts, strict=True)) == DIALLED


@pytest.mark.parametrize("text", ACCEPTED)
def test_we_and_the_api_server_mean_the_same_socket(text: str) -> None:
    assert str(socket_path(text)) == DIALLED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_we_refuse_what_the_api_server_would_misread(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reason is for people, the refusal is the point
        socket_path(text)


@pytest.mark.parametrize("text", sorted(DIALLED.keys() - set(REFUSED) - set(ACCEPTED)))
def test_we_refuse_the_rest_or_agree(text: str) -> None:
    """Ours may be stricter: a path too long for a socket, the root directory, escapes of any kind."""
    try:
        path = socket_path(text)
    except ValueError:
        return
    assert path == Path(str(DIALLED[text]))


def test_a_plain_path_is_our_own_shorthand_for_its_endpoint() -> None:
    assert socket_path("/run/kleidi/kms.sock") == socket_path("unix:///run/kleidi/kms.sock")
