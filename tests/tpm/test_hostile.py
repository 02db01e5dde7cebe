"""What stands between us and the TPM sees nothing, changes nothing unseen, and can say what it likes."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.tpm import pcrs
from appliance.tpm.about import about
from appliance.tpm.device import conversation
from appliance.tpm.errors import TpmError, Trouble
from appliance.tpm.parent import persistent, primary
from appliance.tpm.sealed import Sealed, seal, unseal
from appliance.tpm.wire import HEADER, Command, Exchange, sized, u16, u32
from tests.tpm import relay
from tests.tpm.chip import Chip
from tests.tpm.conftest import made as made_at
from tests.tpm.told import told

KEY = secrets.token_bytes(32)
FLUSH = u32(Command.FLUSH_CONTEXT)
NUMBERS = [(), (7,)]


class Recorder:
    """All that goes by, in both directions."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.passed: list[bytes] = []

    def __call__(self, command: bytes) -> bytes:
        answer = self._exchange(command)
        self.passed += [command, answer]
        return answer

    @property
    def codes(self) -> list[int]:
        return [int.from_bytes(command[6:10], "big") for command in self.passed[::2]]


@pytest.mark.parametrize("numbers", NUMBERS)
def test_the_bytes_are_never_on_the_bus(chip: Chip, numbers: tuple[int, ...]) -> None:
    chip.extend(7)
    with chip.talk() as exchange:
        recorder = Recorder(exchange)
        made, _ = seal(recorder, KEY, numbers)
        assert unseal(recorder, made, numbers) == KEY
    everything = b"".join(recorder.passed)
    assert Command.CREATE in recorder.codes
    assert Command.UNSEAL in recorder.codes
    assert made.private in everything
    pieces = [KEY[at : at + 6] for at in range(len(KEY) - 5)]
    assert [piece for piece in pieces if piece in everything] == []


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("code", [Command.CREATE, Command.LOAD, Command.UNSEAL])
def test_no_bit_of_what_matters_can_be_changed(chip: Chip, code: int, numbers: tuple[int, ...]) -> None:
    """In an answer we notice it, in a command the TPM does."""
    chip.extend(7)
    made = chip.seal(KEY, numbers)
    # Behind header, handle and size, to the end: parameters, nonce, attributes, proof.
    begins = 10 + 4 + 4 * (code == Command.LOAD)
    for answers in (True, False):
        at = begins if answers else 10
        while True:
            with chip.talk() as exchange:
                flipping = Flipping(exchange, code, at, answers=answers)

                def act(flipping: Flipping = flipping) -> object:
                    if code == Command.CREATE:
                        return seal(flipping, KEY, numbers)
                    return unseal(flipping, made, numbers)

                trouble = told(act)
            if flipping.past:
                break
            assert trouble is not None
            if answers:
                assert trouble is Trouble.ANSWER
            at += 1


class Flipping:
    """One bit is another in one command of its code, or in the answer to it."""

    def __init__(self, exchange: Exchange, code: int, at: int, *, answers: bool) -> None:
        self._exchange = exchange
        self._code = u32(code)
        self._at = at
        self._answers = answers
        self.past = False

    def __call__(self, command: bytes) -> bytes:
        if command[6:10] != self._code:
            return self._exchange(command)
        if self._answers:
            return self._flipped(self._exchange(command))
        return self._exchange(self._flipped(command))

    def _flipped(self, data: bytes) -> bytes:
        self.past = self._at >= len(data)
        bit = 1 << self._at % 8
        return data if self.past else bytes(b ^ bit * (at == self._at) for at, b in enumerate(data))


def test_a_false_parent_is_known_before_anything_is_sent_to_it(chip: Chip) -> None:
    made = chip.seal(KEY)
    theirs = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    with chip.talk() as exchange:

        def replaced(command: bytes) -> bytes:
            answer = exchange(command)
            if command[6:10] != u32(Command.CREATE_PRIMARY):
                return answer
            # header, handle, size of all parameters, public area: its last parts are the point's.
            size = int.from_bytes(answer[18:20], "big")
            area = answer[20 : 20 + size]
            point = sized(theirs.x.to_bytes(32, "big")) + sized(theirs.y.to_bytes(32, "big"))
            forged = area[: -len(point)] + point
            return answer[:20] + forged + answer[20 + size :]

        recorder = Recorder(replaced)
        assert told(unseal, recorder, made) is Trouble.OTHER
    assert recorder.codes == [Command.READ_PUBLIC, Command.CREATE_PRIMARY, Command.FLUSH_CONTEXT]


def test_another_key_of_its_name_is_noticed(chip: Chip, other: Chip) -> None:
    """What an impostor needs is the private half: without it nothing that it says is proved."""
    made = chip.seal(KEY)
    with other.talk() as exchange, chip.talk() as real:

        def impostor(command: bytes) -> bytes:
            code = command[6:10]
            answer = exchange(command)
            return real(command) if code == u32(Command.CREATE_PRIMARY) and len(answer) > 10 else answer

        assert told(unseal, impostor, made) is Trouble.ANSWER


def script(answers: Iterable[bytes]) -> Exchange:
    """Says these, whatever it is asked, and then nothing."""
    left: Iterator[bytes] = iter(answers)
    return lambda _command: next(left, b"")


# Bytes of any sort, and what begins as an answer.
ANSWERS = st.binary(max_size=200) | st.builds(
    lambda tag, code, body: HEADER.pack(tag, HEADER.size + len(body), code) + body,
    st.sampled_from([0x8001, 0x8002]),
    st.sampled_from([0, 0, 0, 0x18B, 0x99D, 0x128, 0x922]),
    st.binary(max_size=400),
)
ACTS: list[Callable[[Exchange], object]] = [
    about,
    persistent,
    lambda exchange: pcrs.read(exchange, [7, 11]),
    lambda exchange: primary(exchange).__enter__(),
    lambda exchange: seal(exchange, KEY, (7,)),
    lambda exchange: unseal(exchange, Sealed(b"\x00\x0b" + bytes(32), _area(0), bytes(158))),
    lambda exchange: unseal(exchange, Sealed(b"\x00\x0b" + bytes(32), _area(32), bytes(158)), (7,)),
]


def _area(policy: int) -> bytes:
    attributes = u32(0x412 if policy else 0x452)
    return u16(8) + u16(0x0B) + attributes + sized(bytes(policy)) + u16(0x10) + sized(bytes(32))


@settings(deadline=None, max_examples=400)
@given(st.lists(ANSWERS, max_size=8), st.sampled_from(ACTS))
def test_whatever_is_answered_is_an_answer_or_a_trouble(
    answers: list[bytes], act: Callable[[Exchange], object]
) -> None:
    with suppress(TpmError):
        act(script(answers))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    """What a real one answers to each of the acts."""
    with made_at(tmp_path_factory.mktemp("heard") / "chip") as chip:
        chip.extend(7)
        chip.extend(11)
        found = []
        for act in ACTS:
            with chip.talk() as exchange:
                recorder = Recorder(exchange)
                with suppress(TpmError):
                    act(recorder)
            found.append(recorder.passed[1::2])
    return found


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_an_answer_changed_anywhere_is_an_answer_or_a_trouble(
    data: st.DataObject, heard: list[list[bytes]]
) -> None:
    """As far as a real one goes, and then otherwise."""
    which = data.draw(st.integers(0, len(ACTS) - 1))
    answers = list(heard[which])
    at = data.draw(st.integers(0, len(answers) - 1))
    changed = bytearray(answers[at])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    answers[at] = bytes(changed)
    with suppress(TpmError):
        ACTS[which](script(answers))


@given(st.binary(max_size=64))
@settings(deadline=None, max_examples=20)
def test_whatever_comes_out_of_a_socket_is_a_trouble(answer: bytes) -> None:
    with (
        relay.served(lambda _: answer or None) as path,
        pytest.raises(TpmError),
        conversation(path, 0.1) as exchange,
    ):
        about(exchange)
