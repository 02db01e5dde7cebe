"""The slot `transit`: a Transit server (Vault, OpenBao) closes the slot's key once and opens it at each boot.

The keys stay in their own engine. The server is asked for this one key, by a node that reaches it and may log
in: so the volume without the network opens nothing, and while it is open nobody misses the server.
"""

import functools
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import AwayError
from appliance.transit.access import Access, is_name, is_path
from appliance.transit.answers import FAULTS, CallError, Outcome
from appliance.transit.client import Client
from appliance.transit.fitness import bound, fit
from appliance.transit.key import Keys, Version
from appliance.transit.session import Session

KIND = "transit"
# Of one question with its login: whoever opens by another slot waits as long.
_CALL_SECONDS = 2.0
# 32 bytes with nonce and tag, in base64 that has one spelling only.
_ESCROW = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]{80})")
_SALT = re.compile(r"[0-9a-f]{32}")
# What the server says of the key itself. All else is about reaching and asking it, and heals.
_OF_THE_KEY = {
    Outcome.GONE: faults.TRANSIT_KEY_GONE,
    Outcome.OFF: faults.TRANSIT_KEY_OFF,
    Outcome.TAG: faults.TRANSIT_KEY_OTHER,
}


class TransitEscrow:
    """For any number of threads. Between two questions it keeps a token, in memory, and no connection."""

    kind = KIND

    def __init__(self, access: Access, call_seconds: float = _CALL_SECONDS) -> None:
        self._access = access
        self._client = Client(access)
        self._keys = Keys(self._client, Session(access, self._client, call_seconds), call_seconds)

    @classmethod
    def of(cls, settings: object) -> "TransitEscrow":
        """From the settings KLEIDI_TRANSIT_…. Raises E-CONFIG where they do not say where it is."""
        access = Access.of(settings)
        if not access.addresses:
            raise KleidiError(faults.CONFIG, "slot transit needs KLEIDI_TRANSIT_ADDRESSES")
        return _kept(access)

    def ready(self) -> None:
        with self._asking():
            fit(self._keys, self._access.mount, self._access.key)

    def deposit(self, key: bytes) -> Mapping[str, str]:
        """Under the key's latest version, once that has shown that it binds to the slot's own salt."""
        mount, name, salt = self._access.mount, self._access.key, secrets.token_hex(16)
        with self._asking():
            told = fit(self._keys, mount, name)
            version = Version(mount, name, told.latest)
            closed = bound(self._keys, version, key, _aad(salt))
        escrow = f"vault:v{version.number}:{b64encode(closed).decode()}"
        return {"mount": mount, "key": name, "salt": salt, "escrow": escrow}

    def release(self, values: Mapping[str, str]) -> bytes:
        """From the key that closed it, whichever the settings name for new ones by now."""
        version, closed, aad = _parsed(values)
        with self._asking():
            return self._keys.decrypt(version, closed, aad)

    def knows(self, values: Mapping[str, str]) -> bool:
        """By the number of the version: one that is newer than the server's latest is of another key."""
        version, _, _ = _parsed(values)
        with self._asking():
            told = self._keys.metadata(version.mount, version.key)
        if version.number < told.min_decryption or told.soft_deleted:
            raise KleidiError(faults.TRANSIT_KEY_OFF, str(version))
        return version.number <= told.latest

    def protection(self, values: Mapping[str, str]) -> str:  # noqa: ARG002  every key of the server's is as far
        return "remote"

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What can go wrong at the server, in the words of a slot."""
        try:
            yield
        except CallError as error:
            raise _why(error) from None
        except AwayError as error:
            raise _away(error.fault, error.detail) from None
        finally:
            self._client.close()


@functools.lru_cache(maxsize=1)
def _kept(access: Access) -> TransitEscrow:
    """One for the whole process: so a token lasts, and a login that was refused waits before the next."""
    return TransitEscrow(access)


def _why(error: CallError) -> KleidiError:
    if error.outcome in _OF_THE_KEY:
        return KleidiError(_OF_THE_KEY[error.outcome], error.said)
    return _away(FAULTS.get(error.outcome, faults.TRANSIT_ANSWER), error.said)


def _away(fault: Fault, said: str) -> KleidiError:
    return KleidiError(faults.SLOT_TRANSIT_AWAY, KleidiError(fault, said).brief)


def _parsed(values: Mapping[str, str]) -> tuple[Version, bytes, bytes]:
    """Version, closed bytes and associated data. Raises E-SEAL-CORRUPT."""
    mount, key, salt, text = (str(values.get(name, "")) for name in ("mount", "key", "salt", "escrow"))
    escrow = _ESCROW.fullmatch(text)
    if escrow is None or not _SALT.fullmatch(salt) or not is_path(mount) or not is_name(key):
        raise KleidiError(faults.SEAL_CORRUPT, f"a slot of kind {KIND}")
    return Version(mount, key, int(escrow[1])), b64decode(escrow[2]), _aad(salt)


def _aad(salt: str) -> bytes:
    return f"kleidi/slot/v1/{KIND}/{salt}".encode()
