"""Bytes that one TPM opens: sealed under its storage key, to nothing or to what was measured."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from appliance.tpm import pcrs
from appliance.tpm.errors import Code, TpmError, Trouble, kind
from appliance.tpm.parent import Parent, best, name_of, named
from appliance.tpm.session import POLICY, Session, session
from appliance.tpm.wire import Command, Exchange, flush, sized, u16, u32

_KEYED_HASH, _NULL, _SHA256 = u16(0x08), u16(0x10), u16(0x0B)
# fixedTPM, fixedParent, noDA: opening it never counts as a guess. userWithAuth where no policy must be met.
_ATTRIBUTES, _NO_POLICY = 0x412, 0x40
_DIGEST: Final = 32
_POLICY_AT: Final = 10
# A private area of ours has 158 bytes.
_MOST: Final = 1024


@dataclass(frozen=True, repr=False)
class Sealed:
    """*parent* is the storage key's Name; *private* only its TPM can read."""

    parent: bytes
    public: bytes
    private: bytes


def seal(
    exchange: Exchange, data: bytes, numbers: Collection[int] = ()
) -> tuple[Sealed, Mapping[int, bytes]]:
    """*data* sealed to the PCRs of *numbers* as they are, and these. Raises TpmError of UNMEASURED."""
    values = measured(exchange, numbers)
    template = _area(pcrs.policy(values))
    parameters = sized(sized(b"") + sized(data)) + sized(template + sized(b"")) + sized(b"") + u32(0)
    with best(exchange) as parent, session(exchange, parent) as secret:
        _, answer = secret.run(Command.CREATE, (parent.handle, parent.name), parameters)
        made = Sealed(parent.name, private=answer.sized(), public=answer.sized())
    if not made.public.startswith(template):
        raise TpmError(Trouble.ANSWER, "it made another object than it was told to")
    return made, values


def measured(exchange: Exchange, numbers: Collection[int]) -> Mapping[int, bytes]:
    """The PCRs. Raises TpmError of UNMEASURED where one was never extended: it would bind to nothing."""
    values = pcrs.read(exchange, numbers)
    if blank := [number for number, value in values.items() if not pcrs.measured(value)]:
        raise TpmError(Trouble.UNMEASURED, f"PCR {', '.join(map(str, blank))}")
    return values


def unseal(exchange: Exchange, made: Sealed, numbers: Collection[int] = ()) -> bytes:
    """What was sealed. Raises TpmError: OTHER, PCR, LOCKED, CORRUPT and what any command may."""
    _check(made, bound=bool(numbers))
    with (
        named(exchange, made.parent) as parent,
        session(exchange, parent) as secret,
        _loaded(secret, parent, made) as at,
    ):
        if not numbers:
            return _unsealed(secret, at)
        try:
            return _by_policy(exchange, parent, at, numbers)
        except TpmError as error:
            if kind(error.code) != Code.PCR_CHANGED:
                raise
        # Something was measured between the policy and its use: the policy is made once more.
        return _by_policy(exchange, parent, at, numbers)


def _by_policy(exchange: Exchange, parent: Parent, at: tuple[int, bytes], numbers: Collection[int]) -> bytes:
    with session(exchange, parent, POLICY) as policy:
        pcrs.satisfy(exchange, policy.handle, numbers)
        return _unsealed(policy, at)


def _unsealed(secret: Session, at: tuple[int, bytes]) -> bytes:
    _, answer = secret.run(Command.UNSEAL, at, b"")
    data = answer.sized()
    answer.end()
    return data


@contextmanager
def _loaded(secret: Session, parent: Parent, made: Sealed) -> Iterator[tuple[int, bytes]]:
    """Handle and Name of the object, flushed at the end."""
    parameters = sized(made.private) + sized(made.public)
    handle, _ = secret.run(Command.LOAD, (parent.handle, parent.name), parameters, gives_handle=True)
    try:
        yield handle, name_of(made.public)
    finally:
        with suppress(TpmError):
            flush(secret.exchange, handle)


def _area(policy: bytes) -> bytes:
    """All of the public area but the digest that the TPM puts at its end."""
    attributes = _ATTRIBUTES | (0 if policy else _NO_POLICY)
    return _KEYED_HASH + _SHA256 + u32(attributes) + sized(policy) + _NULL


def _check(made: Sealed, *, bound: bool) -> None:
    """Nothing goes to the chip but what `seal` makes: an object that counted guesses could lock it."""
    if len(made.private) > _MOST:
        raise TpmError(Trouble.CORRUPT, "it is too large")
    policy = made.public[_POLICY_AT:][: bound * _DIGEST]
    head = _area(policy) + u16(_DIGEST)
    if not made.public.startswith(head) or len(made.public) != len(head) + _DIGEST:
        raise TpmError(Trouble.CORRUPT, "it is none that was sealed here")
