"""The slot `hsm`: its key is closed to an RSA key pair's public half, and a hardware module opens it at boot.

It asks little of a device: RSA-OAEP, which also those have that have no AES-GCM. The key that encrypts stays
in our token, and a device that is away is missed only by whoever starts. Like every public key it has a
limit: who opens with it knows that the file is meant for him, not that it is ours.

A key pair is known by its label and its public key. Another token opens as well where its vendor copied the
pair to it: which one it was is told, and nothing rests on it.
"""

import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, fields
from functools import partial
from threading import Thread
from typing import Final, Self, TypeVar

from appliance import faults
from appliance.faults import KleidiError
from appliance.logs import event
from appliance.pkcs11 import closing, words
from appliance.pkcs11.connection import Connection
from appliance.pkcs11.options import Pkcs11Options
from appliance.volume.slot import KEY_SIZE

KIND: Final = "hsm"
_SECONDS: Final = 10.0
_SECONDS_TO_MAKE: Final = 60.0  # small devices look long for primes
_SECONDS_TO_LOAD: Final = 30.0  # a library that is new to this process is tried in another one first
_LONGEST: Final = 255  # characters of a label or a token
_LARGEST: Final = 1024  # bytes of a ciphertext: RSA of 8192 bits

T = TypeVar("T")


class HsmEscrow:
    """*key* is the label of the key pair that is used, and made where there is none."""

    kind = KIND

    def __init__(self, options: Pkcs11Options, key: str, seconds: float = _SECONDS) -> None:
        self._options = options
        self._key = key
        self._seconds = seconds

    @classmethod
    def of(cls, settings: object) -> Self:
        """From `pkcs11_module` and so on, and `pkcs11_slot_key`. Raises E-PKCS11-UNSET."""
        options = Pkcs11Options.of(settings)
        if options is None:
            raise KleidiError(faults.PKCS11_UNSET)
        return cls(options, getattr(settings, "pkcs11_slot_key"))  # noqa: B009  as options read theirs

    def ready(self) -> None:
        """Raises KleidiError: no token, no RSA-OAEP, a key pair that is not to be trusted."""

        def work(reached: Connection) -> None:
            found = self._only(reached)
            reached.pairs.demand(makes=found is None)
            if found is not None:
                self._demand_guarded(reached, found)

        self._within(self._seconds, work)

    def deposit(self, key: bytes) -> Mapping[str, str]:
        """Closed to the key pair of our label. One is made where there is none."""

        def work(reached: Connection) -> Mapping[str, str]:
            public = self._only(reached) or self._made(reached)
            self._demand_guarded(reached, public)
            used = closing.best(public, partial(reached.pairs.decrypt, self._key, public))
            escrow = b64encode(closing.close(public, used, key)).decode()
            token = str(reached.device.token())
            return asdict(_Values(token, self._key, closing.fingerprint(public), used.value, escrow))

        return self._within(max(self._seconds, _SECONDS_TO_MAKE), work)

    def release(self, values: Mapping[str, str]) -> bytes:
        """The bytes again. Raises E-SLOT-HSM-KEY, an E-PKCS11-… fault, or E-SEAL-CORRUPT."""
        found = _Values.read(values)

        def work(reached: Connection) -> bytes:
            public = _of_print(reached, found)
            if public is None:
                detail = f'no key pair "{found.key}" is {found.public}; it was in the token {found.token}'
                raise KleidiError(faults.SLOT_HSM_KEY, detail)
            used = closing.Hash(found.hash)
            return closing.opened(reached.pairs, found.key, public, used, found.ciphertext)

        key = self._within(self._seconds, work)
        if len(key) != KEY_SIZE:
            raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND} holds {len(key)} bytes")
        return key

    def knows(self, values: Mapping[str, str]) -> bool:
        """Whether the token has that key pair."""
        found = _Values.read(values)
        return self._within(self._seconds, lambda reached: _of_print(reached, found) is not None)

    def protection(self, values: Mapping[str, str]) -> str:  # noqa: ARG002  all are alike
        return KIND

    def _only(self, reached: Connection) -> closing.Public | None:
        """The key pair of our label, None without any."""
        found = list(dict.fromkeys(reached.pairs.called(self._key)))
        if len(found) > 1:
            prints = ", ".join(map(closing.fingerprint, found))
            raise KleidiError(
                faults.SLOT_HSM_KEY, f'{len(found)} key pairs are called "{self._key}": {prints}'
            )
        return found[0] if found else None

    def _made(self, reached: Connection) -> closing.Public:
        reached.pairs.demand(makes=True)
        public = reached.pairs.make(self._key)
        event(
            logging.INFO,
            "made a key pair in the device, for the slot",
            key=self._key,
            public=closing.fingerprint(public),
            loose=", ".join(reached.pairs.missing(self._key, public)),
        )
        return public

    def _demand_guarded(self, reached: Connection, public: closing.Public) -> None:
        if wrong := reached.pairs.loose(self._key, public):
            detail = f'the key pair "{self._key}" can leave the device or needs no PIN: {", ".join(wrong)}'
            raise KleidiError(faults.PKCS11_DENIED, detail)

    def _within(self, seconds: float, work: Callable[[Connection], T]) -> T:
        """Nothing ends a call that hangs in a vendor's code; nobody waits for it any longer than this."""
        done: Future[T] = Future()
        connection = Connection.of(self._options)
        if not connection.proven:
            seconds += _SECONDS_TO_LOAD

        def run() -> None:
            try:
                with words.of_a_slot(), connection.held() as reached:
                    answer = work(reached)
                # Behind the logout: whoever comes next begins anew.
                done.set_result(answer)
            except BaseException as error:  # noqa: BLE001  raised where it is waited for
                done.set_exception(error)

        Thread(target=run, name="hsm-slot", daemon=True).start()
        try:
            return done.result(seconds)
        except TimeoutError:
            raise KleidiError(faults.SLOT_HSM_AWAY, f"no answer within {seconds:.0f} s") from None


def _of_print(reached: Connection, values: "_Values") -> closing.Public | None:
    called = reached.pairs.called(values.key)
    return next((each for each in called if closing.fingerprint(each) == values.public), None)


@dataclass(frozen=True)
class _Values:
    """As they stand in the header, where anybody may have written them."""

    token: str
    key: str
    public: str
    hash: str
    escrow: str

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Self:
        """Raises E-SEAL-CORRUPT."""
        try:
            found = cls(**{field.name: values[field.name] for field in fields(cls)})
            sound = all(0 < len(each) <= _LONGEST and each.isprintable() for each in (found.token, found.key))
            closing.Hash(found.hash)
            if (
                sound
                and len(bytes.fromhex(found.public)) == KEY_SIZE
                and 0 < len(found.ciphertext) <= _LARGEST
            ):
                return found
        except (AttributeError, LookupError, TypeError, ValueError):
            pass
        raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}")

    @property
    def ciphertext(self) -> bytes:
        return b64decode(self.escrow[: 2 * _LARGEST], validate=True)
