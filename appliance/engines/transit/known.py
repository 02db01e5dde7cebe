"""Whether a key is the one that it was: it opens what it closed when it was taken up."""

import threading
import time
from collections.abc import Mapping

from appliance.keys import key_id
from appliance.transit.answers import CallError, Outcome
from appliance.transit.key import Keys, Version

_LOOK_EACH_SECONDS = 10.0


class KnownAnswers:
    """For any number of threads; damaged data of somebody's must not make two calls of each one."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._seen: dict[tuple[Version, bytes], tuple[float, bool]] = {}

    def opens(self, version: Version, answer: bytes, until: float) -> bool:
        """As it was seen some seconds ago, or is seen now. Raises as decrypt does."""
        if not self._lock.acquire(timeout=max(0, until - time.monotonic())):
            raise CallError(Outcome.AWAY, "another call looks at the known answer")
        try:
            at, found = self._seen.get((version, answer), (float("-inf"), False))
            if time.monotonic() - at >= _LOOK_EACH_SECONDS:
                found = not self.strangers({version: answer}, until)
                self._seen[version, answer] = time.monotonic(), found
            return found
        finally:
            self._lock.release()

    def strangers(self, answers: Mapping[Version, bytes], until: float | None = None) -> list[Version]:
        """Those that do not open their known answer; one call for each Transit key. Raises CallError."""
        wrong = []
        for mount, key in dict.fromkeys((version.mount, version.key) for version in answers):
            asked = [
                (version, answer, key_id.PROBE_AAD if version.bound else None)
                for version, answer in answers.items()
                if (version.mount, version.key) == (mount, key)
            ]
            results = self._keys.decrypt_all(mount, key, asked, until)
            for (version, _, _), result in zip(asked, results, strict=True):
                if isinstance(result, Outcome) and result is not Outcome.TAG:
                    raise CallError(result, str(version))
                if result != key_id.PROBE_PLAINTEXT:
                    wrong.append(version)
        return wrong
