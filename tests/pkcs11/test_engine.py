"""The engine as the port wants it, over real modules; and what it does with a device that is not well."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.pkcs11.engine import Pkcs11Engine
from appliance.faults import KleidiError
from appliance.keys.engine import (
    AwayError,
    Engine,
    EngineState,
    Inspects,
    LostError,
    Made,
    OffError,
    TamperedError,
)
from appliance.pkcs11.options import Pkcs11Options
from softhsm.pkcs11.constants import Cka, Ckr, TokenFlag
from tests.pkcs11 import fake_token, places
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Place

AAD = b"associated"


def wish() -> str:
    return secrets.token_hex(16)


class Bench:
    """An engine with a first key; what it makes is taken away behind the test."""

    def __init__(self, options: Pkcs11Options, scratch: Path) -> None:
        self.scratch = scratch
        self.engine = Pkcs11Engine(options)
        self.made: list[Made] = []
        self.first = self.make(EngineState())

    def make(self, state: EngineState) -> Made:
        self.made.append(self.engine.make(self.scratch, state, wish()))
        return self.made[-1]

    def open(self, state: EngineState) -> Engine:
        self.engine.open(self.scratch, state)
        return self.engine

    def clear(self) -> None:
        state = self.made[-1].state
        for each in self.made:
            state = self.engine.destroy(self.scratch, state, each.object_id)
        self.engine.open(self.scratch, state)
        self.engine.inspect()
        self.engine.close()


@pytest.fixture
def bench(real: Place, tmp_path: Path) -> Iterator[Bench]:
    assert real.options is not None
    bench = Bench(real.options, tmp_path)
    yield bench
    bench.clear()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeToken:
    token = FakeToken()
    monkeypatch.setattr("appliance.pkcs11.module_file.load", lambda _: token.functions)
    return token


@pytest.fixture
def faked(fake: FakeToken, tmp_path: Path) -> Bench:
    assert fake is not None
    pin = places.pin_file(tmp_path, fake_token.PIN.decode())
    return Bench(places.options(tmp_path / "fake.so", fake_token.LABEL, pin), tmp_path)


def test_it_is_an_engine_that_can_be_asked_how_it_is() -> None:
    engine: Engine = Pkcs11Engine(None)
    assert isinstance(engine, Inspects)
    assert engine.lanes > 0
    assert engine.remote


def test_a_key_made_is_a_key_that_serves(bench: Bench) -> None:
    engine = bench.open(bench.first.state)
    body = engine.wrap(bench.first.object_id, b"plaintext", AAD)
    assert len(body) == 12 + 9 + 16
    assert engine.unwrap(bench.first.object_id, body, AAD) == b"plaintext"
    with pytest.raises(TamperedError):
        engine.unwrap(bench.first.object_id, body, b"other")


def test_a_known_answer_proves_a_key_and_no_other(bench: Bench) -> None:
    second = bench.make(bench.first.state)
    answers = {each.object_id: each.known_answer for each in bench.made}
    bench.engine.prove(bench.scratch, second.state, answers)
    crossed = dict(zip(answers, reversed(answers.values()), strict=True))
    for wrong in (crossed, {wish(): second.known_answer}, {second.object_id: b"cut"}):
        with pytest.raises(KleidiError) as caught:
            bench.engine.prove(bench.scratch, second.state, wrong)
        assert caught.value.fault is faults.TRIAL_FAILED


def test_what_a_fingerprint_is_drawn_from_is_written_down_with_the_key(bench: Bench) -> None:
    assert bench.first.print_source == bench.first.known_answer
    assert bench.make(bench.first.state).print_source != bench.first.print_source


def test_the_state_names_objects_and_holds_no_secret(bench: Bench, real: Place) -> None:
    assert real.options is not None
    assert real.options.pin_file is not None
    (content,) = bench.first.state.files.values()
    found = json.loads(content)
    assert found["keys"] == [bench.first.object_id]
    assert found["label"] == real.options.label
    assert real.options.pin_file.read_bytes().strip() not in content


def test_opening_waits_for_nobody_and_a_key_serves_again_behind_it(bench: Bench) -> None:
    engine = bench.open(bench.first.state)
    body = engine.wrap(bench.first.object_id, b"plaintext", AAD)
    for _ in range(3):
        engine.close()
        with pytest.raises(LostError):
            engine.wrap(bench.first.object_id, b"plaintext", AAD)
        engine.open(bench.scratch, bench.first.state)
    assert engine.unwrap(bench.first.object_id, body, AAD) == b"plaintext"


def test_a_change_beside_what_is_open_does_not_log_it_out(bench: Bench) -> None:
    engine = bench.open(bench.first.state)
    body = engine.wrap(bench.first.object_id, b"plaintext", AAD)
    bench.make(bench.first.state)
    assert engine.unwrap(bench.first.object_id, body, AAD) == b"plaintext"


def test_a_key_is_destroyed_behind_the_commit_and_not_ahead_of_it(bench: Bench) -> None:
    second = bench.make(bench.first.state)
    after = bench.engine.destroy(bench.scratch, second.state, bench.first.object_id)
    # The commit failed: what was open stays so, and so does the key.
    engine = bench.open(second.state)
    bench.engine.inspect()
    assert engine.wrap(bench.first.object_id, b"plaintext", AAD)
    # It went through.
    engine.open(bench.scratch, after)
    assert engine.wrap(bench.first.object_id, b"plaintext", AAD)
    bench.engine.inspect()
    bench.engine.close()
    engine.open(bench.scratch, after)
    with pytest.raises(OffError) as caught:
        engine.wrap(bench.first.object_id, b"plaintext", AAD)
    assert caught.value.fault is faults.PKCS11_KEY_GONE
    assert engine.wrap(second.object_id, b"plaintext", AAD)


def test_what_a_failed_commit_left_is_counted(bench: Bench) -> None:
    bench.make(bench.first.state)
    bench.open(bench.first.state)
    assert bench.engine.inspect()[faults.PKCS11_STRAY] == "1 object of ours that no key id names"
    bench.open(bench.made[-1].state)
    assert faults.PKCS11_STRAY not in bench.engine.inspect()


def test_it_says_what_its_keys_need(bench: Bench) -> None:
    said = bench.engine.needs(bench.first.state)
    assert said.startswith('PKCS#11 token "')
    assert Pkcs11Engine(None).needs(bench.first.state) == said
    assert Pkcs11Engine(None).needs(EngineState()) == "a PKCS#11 token"


def test_another_state_of_the_same_token_costs_no_login(faked: Bench, fake: FakeToken) -> None:
    engine = faked.open(faked.first.state)
    engine.wrap(faked.first.object_id, b"plaintext", AAD)
    second = faked.make(faked.first.state)
    fake.calls.clear()
    engine.open(faked.scratch, second.state)
    engine.wrap(second.object_id, b"plaintext", AAD)
    assert fake.calls["C_Login"] == fake.calls["C_Initialize"] == fake.calls["C_Finalize"] == 0
    engine.close()
    assert fake.calls["C_Finalize"] == 1


def test_a_name_that_is_taken_is_left_as_it_is(bench: Bench) -> None:
    with pytest.raises(KleidiError) as caught:
        bench.engine.make(bench.scratch, bench.first.state, bench.first.object_id)
    assert caught.value.fault is faults.PKCS11_DENIED
    assert bench.open(bench.first.state).wrap(bench.first.object_id, b"plaintext", AAD)


@pytest.mark.parametrize("plaintext", [b"", b"plaintext"])
def test_what_no_caller_may_ask_is_a_bug_of_his(bench: Bench, plaintext: bytes) -> None:
    engine = bench.open(bench.first.state)
    with pytest.raises(ValueError, match="there is no"):
        engine.wrap(bench.first.object_id, plaintext, AAD if not plaintext else b"")
    with pytest.raises(ValueError, match="nonce and tag"):
        engine.unwrap(bench.first.object_id, bytes(28), AAD)


def test_without_a_module_every_call_says_what_to_set(tmp_path: Path) -> None:
    engine = Pkcs11Engine(None)
    engine.open(tmp_path, EngineState())
    for call in (
        lambda: engine.wrap("00", b"plaintext", AAD),
        lambda: engine.unwrap("00", bytes(40), AAD),
        engine.inspect,
    ):
        with pytest.raises(AwayError) as caught:
            call()
        assert caught.value.fault is faults.PKCS11_UNSET
    with pytest.raises(KleidiError) as refused:
        engine.make(tmp_path, EngineState(), wish())
    assert refused.value.fault is faults.PKCS11_UNSET
    engine.close()


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"{}", faults.SEAL_CORRUPT), (b"[", faults.SEAL_CORRUPT), (b'{"version": 2}', faults.SEAL_NEWER)],
)
def test_a_state_that_is_none_is_told(content: bytes, fault: faults.Fault, tmp_path: Path) -> None:
    with pytest.raises(KleidiError) as caught:
        Pkcs11Engine(None).open(tmp_path, EngineState({"pkcs11.json": content}))
    assert caught.value.fault is fault


def test_a_key_that_cannot_be_proved_is_gone_again(faked: Bench, fake: FakeToken) -> None:
    before = dict(fake.objects)
    fake.answers["C_DecryptInit"] = [Ckr.KEY_FUNCTION_NOT_PERMITTED]
    with pytest.raises(KleidiError) as caught:
        faked.engine.make(faked.scratch, faked.first.state, wish())
    assert caught.value.fault is faults.PKCS11_DENIED
    assert fake.objects == before


def test_a_key_of_which_nobody_knows_whether_it_was_made_is_gone_again(faked: Bench, fake: FakeToken) -> None:
    before = dict(fake.objects)
    generate = fake._generatekey  # noqa: SLF001

    def mute(*arguments: object) -> int:
        generate(*arguments)  # type: ignore[arg-type]
        return Ckr.DEVICE_ERROR

    fake._generatekey = mute  # type: ignore[assignment,method-assign]  # noqa: SLF001
    with pytest.raises(KleidiError):
        faked.engine.make(faked.scratch, faked.first.state, wish())
    left = [each for each in fake.objects.values() if each[Cka.TOKEN] == b"\1"]
    assert len(left) == len(before)


@pytest.mark.parametrize(
    ("flag", "fault"),
    [
        (TokenFlag.USER_PIN_COUNT_LOW, faults.PKCS11_PIN_LOW),
        (TokenFlag.USER_PIN_FINAL_TRY, faults.PKCS11_PIN_LOW),
        (TokenFlag.WRITE_PROTECTED, faults.PKCS11_READ_ONLY),
    ],
)
def test_what_a_token_says_of_itself_is_a_warning(
    flag: TokenFlag, fault: faults.Fault, faked: Bench, fake: FakeToken
) -> None:
    faked.open(faked.first.state)
    assert faked.engine.inspect() == {}
    fake.flags |= flag
    assert list(faked.engine.inspect()) == [fault]


def test_a_key_that_became_loose_is_a_warning(faked: Bench, fake: FakeToken) -> None:
    faked.open(faked.first.state)
    (found,) = fake.objects.values()
    found[Cka.EXTRACTABLE] = b"\1"
    assert faked.engine.inspect() == {faults.PKCS11_KEY_LOOSE: f"object {faked.first.object_id}: EXTRACTABLE"}


def test_a_token_that_keeps_a_destroyed_key_is_a_warning(faked: Bench, fake: FakeToken) -> None:
    state = faked.engine.destroy(faked.scratch, faked.first.state, faked.first.object_id)
    faked.open(state)
    fake.answers["C_DestroyObject"] = [Ckr.ACTION_PROHIBITED]
    assert "does not let go of" in faked.engine.inspect()[faults.PKCS11_STRAY]
    assert faked.engine.inspect() == {}
    assert fake.objects == {}


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (Ckr.DEVICE_REMOVED, faults.PKCS11_AWAY),
        (Ckr.KEY_FUNCTION_NOT_PERMITTED, faults.PKCS11_DENIED),
    ],
)
def test_a_code_becomes_a_fault(code: int, fault: faults.Fault, faked: Bench, fake: FakeToken) -> None:
    engine = faked.open(faked.first.state)
    engine.wrap(faked.first.object_id, b"plaintext", AAD)
    fake.answers["C_EncryptInit"] = [code]
    with pytest.raises((AwayError, OffError)) as caught:
        engine.wrap(faked.first.object_id, b"plaintext", AAD)
    assert caught.value.fault is fault


def test_a_wrong_pin_is_told_and_not_tried_again(faked: Bench, fake: FakeToken) -> None:
    pin = faked.scratch / "pin"
    pin.chmod(0o600)
    pin.write_text("654321")
    engine = faked.open(faked.first.state)
    logins = fake.calls["C_Login"]
    for _ in range(3):
        with pytest.raises(AwayError) as caught:
            engine.wrap(faked.first.object_id, b"plaintext", AAD)
        assert caught.value.fault is faults.PKCS11_PIN
    assert fake.calls["C_Login"] == logins + 1
    pin.write_text("123456\n")
    assert engine.wrap(faked.first.object_id, b"plaintext", AAD)


def test_two_engines_of_a_process_share_the_login(real: Place, bench: Bench) -> None:
    assert real.options is not None
    engine = bench.open(bench.first.state)
    other = Pkcs11Engine(replace(real.options))
    other.open(bench.scratch, bench.first.state)
    body = other.wrap(bench.first.object_id, b"plaintext", AAD)
    other.close()
    assert engine.unwrap(bench.first.object_id, body, AAD) == b"plaintext"


def test_what_a_token_does_not_let_be_seen_turns_no_key_off(faked: Bench, fake: FakeToken) -> None:
    faked.open(faked.first.state)
    assert faked.engine.inspect() == {}
    fake.answers["C_FindObjectsInit"] = [Ckr.ATTRIBUTE_TYPE_INVALID]
    assert faked.engine.inspect() == {}
