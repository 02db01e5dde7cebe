"""The ways to a token: a file that somebody else keeps current, AppRole, or a TLS certificate.

Kubernetes auth is not among them: it asks the API server about us, which waits for us.
"""

from dataclasses import dataclass, field
from typing import Any

from appliance import faults
from appliance.keys.engine import AwayError
from appliance.transit import secret_file
from appliance.transit.access import Access
from appliance.transit.answers import FAULTS, CallError, Outcome
from appliance.transit.client import Answer, Client, Request
from appliance.transit.connections.trust import TrustError

# The server's trouble and not our secret's.
_NOT_REFUSED = {Outcome.SEALED, Outcome.AWAY, Outcome.TLS, Outcome.BUSY, Outcome.SHAPE}


@dataclass(frozen=True)
class Token:
    """*lease* in seconds; 0 where it does not end by time, or nobody told."""

    value: str = field(repr=False)
    lease: int = 0


class RefusedError(Exception):
    """The server does not want the secret, and will not in a moment either."""

    def __init__(self, error: AwayError) -> None:
        super().__init__(str(error))
        self.error = error


def log_in(access: Access, client: Client, until: float) -> Token:
    """A new token; secrets are read now. Raises AwayError; RefusedError where it is the secret's fault."""
    if access.auth == "token":
        return Token(secret_file.read(access.token_file))
    try:
        return client.call(_request(access, client), _read, until)
    except CallError as error:
        if error.outcome in _NOT_REFUSED:
            raise AwayError(FAULTS[error.outcome], error.said) from None
        where = f"auth/{access.login_mount}/login: {error.said}"
        raise RefusedError(AwayError(faults.TRANSIT_LOGIN, where)) from None


def _request(access: Access, client: Client) -> Request:
    path = f"auth/{access.login_mount}/login"
    if access.auth == "cert":
        if access.cert_file is None or access.key_file is None:
            raise AwayError(faults.TRANSIT_SECRET, "no certificate is named")
        secret_file.check(access.cert_file, secret=False)
        secret_file.check(access.key_file)
        try:
            context = client.trust.context_as(access.cert_file, access.key_file)
        except TrustError as error:
            raise AwayError(faults.TRANSIT_SECRET, str(error)) from None
        return Request("POST", path, {"name": access.role} if access.role else {}, context=context)
    role = secret_file.read(access.role_id_file, secret=False)
    secret = secret_file.read(access.secret_id_file)
    return Request("POST", path, {"role_id": role, "secret_id": secret}, secrets=(secret,))


def _read(answer: Answer) -> Token:
    auth: Any = answer.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    token, lease, uses = auth.get("client_token"), auth.get("lease_duration"), auth.get("num_uses", 0)
    if not isinstance(token, str) or not secret_file.is_word(token) or type(lease) is not int or lease < 0:
        raise CallError(Outcome.SHAPE, "there is no token in it")
    if uses:
        raise CallError(
            Outcome.OTHER, "its tokens have a num_uses and die in the middle: set token_num_uses=0"
        )
    return Token(token, lease)
