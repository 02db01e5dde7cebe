"""What a TPM sealed it opens again, after every start, and no other does."""

import secrets
from dataclasses import replace

import pytest

from appliance.tpm import pcrs
from appliance.tpm.errors import Trouble
from appliance.tpm.parent import persistent
from appliance.tpm.sealed import Sealed, seal, unseal
from appliance.tpm.wire import Command, sized, u16, u32
from tests.tpm.chip import Chip, create_primary, extend, flush
from tests.tpm.told import told

KEY = secrets.token_bytes(32)
# As a TPM's maker or a host would: RSA-2048 with noDA, and ECC without it.
RSA = (
    u16(0x01) + u16(0x0B) + u32(0x00030472) + sized(b"")
    + u16(0x06) + u16(128) + u16(0x43) + u16(0x10) + u16(2048) + u32(0) + sized(b"")
)  # fmt: skip
COUNTS = (
    u16(0x23) + u16(0x0B) + u32(0x00030072) + sized(b"")
    + u16(0x06) + u16(128) + u16(0x43) + u16(0x10) + u16(0x03) + u16(0x10) + sized(b"") + sized(b"")
)  # fmt: skip


def test_it_opens_now_and_after_an_orderly_and_a_sudden_end(chip: Chip) -> None:
    made = chip.seal(KEY)
    assert chip.unseal(made) == KEY
    chip.shut_down()
    chip.cut_and_start()
    assert chip.unseal(made) == KEY
    chip.cut_and_start()
    assert chip.unseal(made) == KEY


def test_the_same_is_sealed_to_something_else_each_time(chip: Chip) -> None:
    one, another = chip.seal(KEY), chip.seal(KEY)
    assert one.parent == another.parent
    assert one.private != another.private
    assert one.public != another.public


def test_another_tpm_opens_nothing(chip: Chip, other: Chip) -> None:
    assert told(other.unseal, chip.seal(KEY)) is Trouble.OTHER


def test_a_cleared_tpm_opens_nothing(chip: Chip) -> None:
    made = chip.seal(KEY)
    chip.clear()
    assert told(chip.unseal, made) is Trouble.OTHER


@pytest.mark.parametrize(
    "template", [RSA, COUNTS.replace(u32(0x00030072), u32(0x00030472))], ids=["rsa", "ecc"]
)
def test_a_storage_key_of_the_hosts_is_used_and_needs_no_owner(chip: Chip, template: bytes) -> None:
    chip.keep_storage_key(template)
    made = chip.seal(KEY)
    with chip.talk() as exchange:
        kept = persistent(exchange)
    assert kept is not None
    assert made.parent == kept.name
    chip.own(b"theirs")
    assert chip.unseal(made) == KEY
    assert chip.unseal(chip.seal(KEY)) == KEY


def test_what_was_sealed_before_the_host_kept_a_key_opens_still(chip: Chip) -> None:
    made = chip.seal(KEY)
    chip.keep_storage_key(RSA)
    assert chip.unseal(made) == KEY


def test_a_storage_key_that_guesses_lock_is_used_only_where_there_is_no_other(chip: Chip) -> None:
    plain = chip.seal(KEY).parent
    chip.keep_storage_key(COUNTS)
    assert chip.seal(KEY).parent == plain
    chip.own(b"theirs")
    assert chip.seal(KEY).parent != plain


@pytest.mark.parametrize("template", [RSA[:2] + u16(0x0C) + RSA[4:]], ids=["sha384"])
def test_a_storage_key_of_another_sort_is_passed_over(chip: Chip, template: bytes) -> None:
    plain = chip.seal(KEY).parent
    chip.keep_storage_key(template)
    assert chip.seal(KEY).parent == plain


@pytest.mark.parametrize("numbers", [(7,), (7, 11, 23)])
def test_bound_to_pcrs_it_opens_while_they_are_the_same(chip: Chip, numbers: tuple[int, ...]) -> None:
    for number in numbers:
        chip.extend(number)
    made = chip.seal(KEY, numbers)
    assert chip.unseal(made, numbers) == KEY
    chip.extend(12)
    assert chip.unseal(made, numbers) == KEY
    chip.extend(numbers[-1])
    assert told(chip.unseal, made, numbers) is Trouble.PCR


def test_bound_to_pcrs_no_session_without_them_opens_it(chip: Chip) -> None:
    chip.extend(7)
    made = chip.seal(KEY, (7,))
    # Its public area says that it has a policy.
    assert told(chip.unseal, made) is Trouble.CORRUPT
    assert told(chip.unseal, chip.seal(KEY), (7,)) is Trouble.CORRUPT


def test_a_pcr_of_the_last_start_is_not_that_of_this_one(chip: Chip) -> None:
    chip.extend(7)
    made = chip.seal(KEY, (7,))
    chip.cut_and_start()
    assert told(chip.unseal, made, (7,)) is Trouble.PCR


def test_what_was_never_measured_is_not_bound_to(chip: Chip) -> None:
    # 7 begins with zeros, 17 with ones.
    for number in (7, 17):
        assert told(chip.seal, KEY, (number,)) is Trouble.UNMEASURED


def test_without_a_sha256_bank_nothing_is_bound(chip: Chip) -> None:
    chip.allocate_only_sha1()
    assert told(chip.seal, KEY, (7,)) is Trouble.UNMEASURED
    assert chip.unseal(chip.seal(KEY)) == KEY


@pytest.mark.parametrize(("number", "ends"), [(12, None), (7, Trouble.PCR)])
def test_something_measured_meanwhile_is_tried_once_more(
    chip: Chip, number: int, ends: Trouble | None
) -> None:
    chip.extend(7)
    made = chip.seal(KEY, (7,))
    policies = 0
    with chip.talk() as exchange:

        def measuring(command: bytes) -> bytes:
            nonlocal policies
            answer = exchange(command)
            if command[6:10] == u32(Command.POLICY_PCR):
                policies += 1
                if policies == 1:
                    extend(exchange, number)
            return answer

        assert told(unseal, measuring, made, (7,)) is ends
    assert policies == 2


def test_nothing_is_left_in_the_chip(chip: Chip, other: Chip) -> None:
    """It has room for three objects and three sessions."""
    chip.extend(7)
    plain, bound, foreign = chip.seal(KEY), chip.seal(KEY, (7,)), other.seal(KEY)
    damaged = replace(plain, private=plain.private[:-1] + bytes([plain.private[-1] ^ 1]))
    chip.extend(7)
    with chip.talk() as exchange:
        for _ in range(5):
            assert unseal(exchange, plain) == KEY
            seal(exchange, KEY)
            for made, numbers, ends in (
                (bound, (7,), Trouble.PCR),
                (foreign, (), Trouble.OTHER),
                (damaged, (), Trouble.CORRUPT),
            ):
                assert told(unseal, exchange, made, numbers) is ends
        template = COUNTS
        handles = [create_primary(exchange, template) for _ in range(3)]
        for handle in handles:
            flush(exchange, handle)


def test_damaged_values_are_told_as_such(chip: Chip) -> None:
    made = chip.seal(KEY)
    for each in (
        replace(made, private=b""),
        replace(made, private=made.private[:-1]),
        replace(made, private=bytes(len(made.private))),
        replace(made, private=bytes(2000)),
        replace(made, public=b""),
        replace(made, public=made.public[:-1] + bytes([made.public[-1] ^ 1])),
        replace(made, public=made.public + b"\0"),
        # One that would count guesses.
        replace(made, public=made.public.replace(u32(0x452), u32(0x52))),
    ):
        assert told(chip.unseal, each) is Trouble.CORRUPT
    assert told(chip.unseal, Sealed(b"", made.public, made.private)) is Trouble.OTHER
    assert chip.about().failed == 0


def test_the_policy_is_what_the_chip_makes_of_it(chip: Chip) -> None:
    chip.extend(7)
    with chip.talk() as exchange:
        values = pcrs.read(exchange, [7])
    assert pcrs.policy(values) in chip.seal(KEY, (7,)).public
