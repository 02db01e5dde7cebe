"""What can be done with one version of a Transit key, and what an answer must be like to be believed.

The bytes are Transit's text decoded: `nonce 12 | ciphertext | tag 16`. Its text is never kept, for it has
several spellings (`vault:v01:` is read as version 1); the version comes from our own record.
"""

import base64
import binascii
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from appliance import faults
from appliance.keys.engine import AwayError
from appliance.keys.envelope import NONCE_SIZE, TAG_SIZE
from appliance.transit.answers import CallError, Outcome, complaints, meant
from appliance.transit.client import Answer, Client, Request
from appliance.transit.metadata import Metadata
from appliance.transit.session import Session

OVERHEAD = NONCE_SIZE + TAG_SIZE
# The Vault provider of the original kleidi binds to nothing.
_UNBOUND = ";no-aad"
_NAME = re.compile(r"(?P<mount>[^:;]+)/(?P<key>[^/:;]+):(?P<number>[1-9][0-9]{0,8})(?P<unbound>;no-aad)?")
_HMAC_SIZE = 32

T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """One version of one key; as text `<mount>/<key>:<number>`. Not *bound*: it takes no associated data."""

    mount: str
    key: str
    number: int
    bound: bool = True

    @classmethod
    def parse(cls, object_id: str) -> "Version":
        """Raises ValueError."""
        found = _NAME.fullmatch(object_id)
        if found is None:
            raise ValueError("not <mount>/<key>:<version>")
        return cls(found["mount"], found["key"], int(found["number"]), found["unbound"] is None)

    def __str__(self) -> str:
        return f"{self.mount}/{self.key}:{self.number}{'' if self.bound else _UNBOUND}"


class Keys:
    """Each call takes at most *seconds* with all its attempts and logins, or ends at *until*.

    Raises CallError, and AwayError where a login is in the way.
    """

    def __init__(self, client: Client, session: Session, seconds: float) -> None:
        self._client = client
        self._session = session
        self.seconds = seconds

    def encrypt(self, version: Version, plaintext: bytes, aad: bytes | None) -> bytes:
        prefix = f"vault:v{version.number}:"

        def read(answer: Answer) -> bytes:
            text = _data(answer).get("ciphertext")
            if not isinstance(text, str) or not text.startswith(prefix):
                raise CallError(Outcome.SHAPE, "another version")
            return _decoded(text.removeprefix(prefix), len(plaintext) + OVERHEAD)

        fields = {"plaintext": _text(plaintext), "key_version": version.number, **_bound(aad)}
        return self._ask("POST", f"{_place(version.mount)}/encrypt/{version.key}", fields, read)

    def decrypt(self, version: Version, body: bytes, aad: bytes | None, until: float | None = None) -> bytes:
        def read(answer: Answer) -> bytes:
            return _decoded(_data(answer).get("plaintext"), len(body) - OVERHEAD)

        fields = _closed(version, body, aad)
        return self._ask("POST", f"{_place(version.mount)}/decrypt/{version.key}", fields, read, until)

    def decrypt_all(
        self,
        mount: str,
        key: str,
        bodies: Sequence[tuple[Version, bytes, bytes | None]],
        until: float | None = None,
    ) -> list[bytes | Outcome]:
        """Many bodies of one key in one call: each plaintext, or why there is none."""

        def read(answer: Answer) -> list[bytes | Outcome]:
            results = _data(answer, batch=True).get("batch_results")
            if not isinstance(results, list) or len(results) != len(bodies):
                raise CallError(Outcome.SHAPE, "not as many results as questions")
            return [
                _result(each, len(body) - OVERHEAD)
                for each, (_, body, _) in zip(results, bodies, strict=True)
            ]

        fields = {"batch_input": [_closed(*each) for each in bodies]}
        return self._ask("POST", f"{_place(mount)}/decrypt/{key}", fields, read, until)

    def hmac(self, version: Version, data: bytes) -> bytes:
        """HMAC-SHA-256 under the version's own HMAC key: the same at every node, for as long as it lives."""
        prefix = f"vault:v{version.number}:"

        def read(answer: Answer) -> bytes:
            text = _data(answer).get("hmac")
            if not isinstance(text, str) or not text.startswith(prefix):
                raise CallError(Outcome.SHAPE, "another version")
            return _decoded(text.removeprefix(prefix), _HMAC_SIZE)

        fields = {"input": _text(data), "key_version": version.number}
        return self._ask("POST", f"{_place(version.mount)}/hmac/{version.key}/sha2-256", fields, read)

    def metadata(self, mount: str, key: str) -> Metadata:
        def read(answer: Answer) -> Metadata:
            return Metadata.parse(_data(answer, warned=True))

        return self._ask("GET", f"{_place(mount)}/keys/{key}", None, read)

    def upserts(self, mount: str) -> bool | None:
        """Whether encrypting to a missing key makes it; None where this token may not know."""

        def read(answer: Answer) -> bool:
            return not _data(answer, warned=True).get("disable_upsert", False)

        try:
            return self._once("GET", f"{_place(mount)}/config/keys", None, read)
        except CallError:
            return None

    def token_life(self) -> str:
        """Of the token in use, in words; empty where it may not know. Logs in if there is none."""

        def read(answer: Answer) -> str:
            data = _data(answer, warned=True)
            if data.get("num_uses"):
                raise AwayError(faults.TRANSIT_LOGIN, "the token has a num_uses and dies in the middle")
            ttl = data.get("ttl")
            policies = data.get("policies")
            named = " ".join(map(str, policies)) if isinstance(policies, list) else ""
            ends = f"ends in {ttl} s" if isinstance(ttl, int) and ttl else "never ends by time"
            return f"{ends}, policies {named if named.isprintable() else ''}"

        try:
            return self._once("GET", "auth/token/lookup-self", None, read)
        except CallError as error:
            if error.outcome is not Outcome.DENIED:
                raise
            return ""

    def capabilities(self, paths: Sequence[str]) -> dict[str, frozenset[str]] | None:
        """What the token may do, by path; None where it may not ask."""

        def read(answer: Answer) -> dict[str, frozenset[str]]:
            data = _data(answer, warned=True)
            return {path: frozenset(map(str, data.get(path) or ())) for path in paths}

        try:
            return self._once("POST", "sys/capabilities-self", {"paths": [*paths]}, read)
        except CallError as error:
            if error.outcome is not Outcome.DENIED:
                raise
            return None

    def rotate(self, mount: str, key: str) -> None:
        self._ask("POST", f"{_place(mount)}/keys/{key}/rotate", {}, lambda _: None)

    def _once(self, method: str, path: str, fields: dict[str, Any] | None, read: Callable[[Answer], T]) -> T:
        until = time.monotonic() + self.seconds
        return self._client.call(Request(method, path, fields, self._session.token(until)), read, until)

    def _ask(
        self,
        method: str,
        path: str,
        fields: dict[str, Any] | None,
        read: Callable[[Answer], T],
        until: float | None = None,
    ) -> T:
        """A dead token and a missing right look the same: one login, then one more try."""
        until = time.monotonic() + self.seconds if until is None else until
        token = self._session.token(until)
        try:
            return self._client.call(Request(method, path, fields, token), read, until)
        except CallError as error:
            if error.outcome is not Outcome.DENIED:
                raise
            other = self._session.instead_of(token, until)
            if other is None:
                raise
        try:
            return self._client.call(Request(method, path, fields, other), read, until)
        except CallError as error:
            if error.outcome is Outcome.DENIED:
                self._session.fruitless()
            raise


def _place(mount: str) -> str:
    return quote(mount, safe="/-_.")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bound(aad: bytes | None) -> dict[str, str]:
    return {} if aad is None else {"associated_data": _text(aad)}


def _closed(version: Version, body: bytes, aad: bytes | None) -> dict[str, Any]:
    return {"ciphertext": f"vault:v{version.number}:{_text(body)}", **_bound(aad)}


def _data(answer: Answer, *, batch: bool = False, warned: bool = False) -> dict[str, Any]:
    """The answer's data. A warning means that a part of the request was passed over: associated data, say."""
    if answer.get("warnings") and not warned:
        raise CallError(Outcome.SHAPE, "with warnings")
    data = answer.get("data")
    if not isinstance(data, dict) or (batch and complaints(answer)):
        raise CallError(Outcome.SHAPE, "without data")
    return data


def _decoded(text: object, size: int) -> bytes:
    """Base64 in its one strict spelling, of exactly *size* bytes."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (ValueError, binascii.Error):
        data = b""
    if len(data) != size or _text(data) != text:
        raise CallError(Outcome.SHAPE, f"not base64 of {size} bytes")
    return data


def _result(found: object, size: int) -> bytes | Outcome:
    if isinstance(found, dict) and found.get("error"):
        return meant(str(found["error"]))
    return _decoded(found.get("plaintext") if isinstance(found, dict) else None, size)
