"""Whether a key of the server's is fit to close anything of ours, before it does."""

from appliance import faults
from appliance.faults import KleidiError
from appliance.transit.answers import CallError, Outcome
from appliance.transit.key import Keys, Version
from appliance.transit.metadata import Metadata


def fit(keys: Keys, mount: str, key: str) -> Metadata:
    """What the server tells of the key. Raises E-TRANSIT-KEY-UNFIT, and CallError."""
    told = keys.metadata(mount, key)
    if told.unfit:
        raise KleidiError(faults.TRANSIT_KEY_UNFIT, f"{mount}/{key}: {', '.join(told.unfit)}")
    return told


def bound(keys: Keys, version: Version, plaintext: bytes, aad: bytes) -> bytes:
    """*plaintext*, closed by a version that has shown with it that it binds. Raises CallError."""
    closed = keys.encrypt(version, plaintext, aad)
    if keys.decrypt(version, closed, aad) != plaintext:
        raise CallError(Outcome.SHAPE, "it does not give back what it took")
    try:
        keys.decrypt(version, closed, None)
    except CallError as error:
        if error.outcome is not Outcome.TAG:
            raise
    else:
        raise CallError(Outcome.OTHER, "associated data is not bound")
    return closed
