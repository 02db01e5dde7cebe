"""The invitation: a key pair for one bundle, in this process's memory and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance import faults
from appliance.age.key_pairs import Identities
from appliance.backup.bundle import open_bundle
from appliance.faults import KleidiError
from appliance.volume.payload import Payload
from appliance.volume.seal import Header


@dataclass(frozen=True, repr=False)
class _Invitation:
    identity: Identities
    until: float


class Invitations:
    """At most one is open: a second takes the place of the first. *clock* is one that nobody can set."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self._clock = clock
        self._open: _Invitation | None = None

    def invite(self) -> str:
        """A new recipient, age1…: whoever has the keys encrypts them to it."""
        identity = Identities.generate()
        self._open = _Invitation(identity, self._clock() + self.seconds)
        return identity.recipients.names[0]

    def read(self, bundle: bytes) -> tuple[Header, Payload]:
        """What was brought. Raises E-INVITATION-… when it is not for the one that is open, or none is."""
        if self._open is None or self._clock() >= self._open.until:
            self._open = None
            raise KleidiError(faults.INVITATION_EXPIRED)
        try:
            return open_bundle(bundle, self._open.identity)
        except KleidiError as error:
            if error.fault is not faults.BACKUP_KEY_WRONG:
                raise
            raise KleidiError(faults.INVITATION_FOREIGN) from error

    @property
    def open(self) -> bool:
        """Whether one waits for its bundle."""
        return self._open is not None and self._clock() < self._open.until

    def close(self) -> None:
        """It was used, and is good for nothing more."""
        self._open = None
