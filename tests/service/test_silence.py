"""Connections that say nothing more, or take nothing: none of them keeps its place."""

import contextlib
import socket

import pytest

from appliance.service.transports import NGHTTP2
from appliance.service.transports.nghttp2 import limits
from tests.http2 import (
    ENCRYPT,
    END_HEADERS,
    HEADERS,
    INITIAL_WINDOW,
    PREFACE,
    SETTINGS,
    STATUS,
    call,
    frame,
    headers,
    settings,
)
from tests.service.client import PATIENCE_SECONDS, Client
from tests.service.running import Running

_HELLO = PREFACE + SETTINGS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    if transport != NGHTTP2:
        pytest.skip("gRPC's core keeps such times by itself")
    for name in ("GREETING_SECONDS", "IDLE_SECONDS", "CLOSING_SECONDS"):
        monkeypatch.setattr(limits, name, 0.05)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PREFACE, id="half a greeting"),
        pytest.param(_HELLO, id="a greeting"),
        pytest.param(_HELLO + frame(HEADERS, END_HEADERS, 1, headers(ENCRYPT)), id="half a call"),
        pytest.param(
            PREFACE + settings((INITIAL_WINDOW, 0)) + call(1, STATUS),
            id="a call whose answer it does not take",
        ),
    ],
)
def test_who_is_silent_is_asked_to_go_and_then_sent(unharmed: Client, shared: Running, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(PATIENCE_SECONDS)
        peer.connect(str(shared.scene.socket))
        peer.sendall(said)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(65536):
                pass
        assert unharmed.status().healthz == "ok"


def test_who_reads_nothing_is_sent_away_with_all_that_was_for_him(unharmed: Client, shared: Running) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(PATIENCE_SECONDS)
        peer.connect(str(shared.scene.socket))
        peer.sendall(_HELLO)
        # Until nothing more is taken of him; then until he is gone.
        with pytest.raises(BrokenPipeError):
            _insist(peer)
        assert unharmed.status().healthz == "ok"


def _insist(peer: socket.socket) -> None:
    for number in range(1, 1_000_000, 2):
        peer.sendall(call(number, "/none"))
