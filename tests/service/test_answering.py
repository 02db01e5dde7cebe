"""A call is answered the same way whatever carries it, and what became of it is told once."""

import asyncio
from dataclasses import dataclass

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.rpc.answers import Code
from appliance.service.rpc.calls import CALLER, Answering, Refusal
from appliance.telemetry import Called, Event, Observers
from proto.kmsv2 import api_pb2 as pb

REQUEST = pb.EncryptRequest(plaintext=b"seed", uid="4711")
REPLY = pb.EncryptResponse(ciphertext=b"sealed", key_id="kleidi/x")


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def observe(self, event: Event) -> None:
        self.events.append(event)

    @property
    def called(self) -> Called:
        (event,) = self.events
        assert isinstance(event, Called)
        assert event.seconds >= 0
        return event


@dataclass
class Given:
    """A call without a transport."""

    data: bytes = REQUEST.SerializeToString()
    seconds: float | None = 3.0
    unfinished: bool = False

    async def read(self) -> bytes:
        if self.unfinished:
            raise KleidiError(faults.REQUEST_UNFINISHED)
        return self.data

    def remaining(self) -> float | None:
        return self.seconds

    def caller(self) -> str:
        return "0:1"


async def encrypts(request: pb.EncryptRequest) -> pb.EncryptResponse:
    assert request == REQUEST
    return REPLY


async def refuses(_request: pb.EncryptRequest) -> pb.EncryptResponse:
    raise KleidiError(faults.KEY_UNKNOWN, "for operators")


async def errs(_request: pb.EncryptRequest) -> pb.EncryptResponse:
    raise ZeroDivisionError("a secret")


def answered(given: Given, handler: object = encrypts, *, frank: bool = False) -> tuple[object, Called]:
    heard = Heard()
    answering = Answering("Encrypt", pb.EncryptRequest, handler, Observers((heard,)), 100, frank)  # type: ignore[arg-type]

    async def call() -> object:
        answer = await answering.answer(given)
        await asyncio.sleep(0)  # what went well is told behind the answer
        return answer

    return asyncio.run(call()), heard.called


def test_a_good_call_is_answered_and_told_behind_it() -> None:
    answer, called = answered(Given())
    assert answer == REPLY
    assert (called.method, called.uid, called.key_id, called.fault) == ("Encrypt", "4711", "kleidi/x", None)


@pytest.mark.parametrize(
    ("given", "fault", "code"),
    [
        (Given(data=b"\xff"), faults.REQUEST_INVALID, Code.INVALID_ARGUMENT),
        (Given(unfinished=True), faults.REQUEST_UNFINISHED, Code.INVALID_ARGUMENT),
        (Given(seconds=0.0), faults.CALLER_GONE, Code.DEADLINE_EXCEEDED),
    ],
)
def test_what_cannot_be_answered_never_reaches_the_handler(
    given: Given, fault: faults.Fault, code: Code
) -> None:
    answer, called = answered(given, errs)
    assert isinstance(answer, Refusal)
    assert (answer.code, called.fault) == (code, fault)
    assert answer.words.startswith(str(fault))


@pytest.mark.parametrize("frank", [False, True])
def test_details_are_for_operators_alone(frank: bool) -> None:
    answer, called = answered(Given(), refuses, frank=frank)
    assert isinstance(answer, Refusal)
    assert answer.code is Code.NOT_FOUND
    assert ("for operators" in answer.words) is frank
    assert called.detail == "for operators"


def test_a_mistake_of_ours_says_nothing_of_itself_to_the_caller() -> None:
    answer, called = answered(Given(), errs)
    assert isinstance(answer, Refusal)
    assert (answer.code, called.fault) == (Code.INTERNAL, faults.INTERNAL)
    assert "secret" not in answer.words
    assert isinstance(called.bug, ZeroDivisionError)


@pytest.mark.parametrize("frank", [False, True])
def test_only_where_operators_come_in_it_is_asked_who_calls(frank: bool) -> None:
    seen = []

    async def looks(_request: pb.EncryptRequest) -> pb.EncryptResponse:
        seen.append(CALLER.get())
        return REPLY

    answered(Given(), looks, frank=frank)
    assert seen == ["0:1" if frank else ""]
