"""Taking up a version as a key of ours, and by what each node knows it again."""

from appliance import faults
from appliance.engines.transit.held import Held, Taken
from appliance.faults import KleidiError
from appliance.keys import key_id
from appliance.keys.engine import Made
from appliance.transit.fitness import bound
from appliance.transit.key import Keys, Version
from appliance.transit.metadata import Metadata

_PRINT_INPUT = b"kleidi/fingerprint-source/v1"
_LINEAGE_INPUT = b"kleidi/lineage/v1"
_LINEAGE_DIGITS = 12
# Every number that is not a key of ours is written down as skipped.
_HIGHEST_SHARED = 9999


class Taking:
    """All of it raises CallError where the server does not answer as it must."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def compare(self, held: Held, version: Version) -> None:
        """A version number that was seen before may be another key's by now: re-created, or restored."""
        if self._keys.hmac(version, _PRINT_INPUT) != held.versions[version].print_source:
            raise KleidiError(faults.TRANSIT_KEY_OTHER, str(version))

    def fingerprint(self, version: Version) -> str:
        return key_id.fingerprint(self._keys.hmac(version, _PRINT_INPUT))

    def take(self, held: Held, version: Version, told: Metadata) -> Made:
        """The version as a key of ours."""
        answer = self.bound_answer(version)
        source = self._keys.hmac(version, _PRINT_INPUT)
        state = held.with_one(version, Taken(source, answer)).state
        number = version.number if version.number <= _HIGHEST_SHARED else 0
        return Made(state, str(version), answer, source, self._lineage(version, told), number)

    def take_unbound(self, held: Held, version: Version) -> Made:
        """The same of one with which another plugin encrypted without associated data."""
        answer = self._keys.encrypt(version, key_id.PROBE_PLAINTEXT, None)
        source = self._keys.hmac(version, _PRINT_INPUT)
        return Made(held.with_one(version, Taken(source, answer)).state, str(version), answer, source)

    def bound_answer(self, version: Version) -> bytes:
        """The known answer of a version that has shown that it binds to its associated data."""
        return bound(self._keys, version, key_id.PROBE_PLAINTEXT, key_id.PROBE_AAD)

    def _lineage(self, version: Version, told: Metadata) -> str:
        """Drawn from the first version, which all nodes find the same whichever they take up.

        HMAC refuses a version below a minimum, so once version 1 is excluded it is the lowest one that is
        left: nodes that begin on both sides of that moment are told apart, and must join.
        """
        first = Version(version.mount, version.key, min(told.lowest_named, version.number))
        return self._keys.hmac(first, _LINEAGE_INPUT).hex()[:_LINEAGE_DIGITS]
