"""RSA-OAEP under a device's key pairs: what was closed outside with the public half is opened inside."""

from softhsm.pkcs11 import oaep, pair
from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.constants import CKO_PRIVATE_KEY
from softhsm.pkcs11.device import Device
from softhsm.pkcs11.errors import DeniedError, KeyGoneError
from softhsm.pkcs11.login import Login
from softhsm.pkcs11.oaep import Hash
from softhsm.pkcs11.pair import Public
from softhsm.pkcs11.session import Session


class KeyPairs:
    def __init__(self, device: Device) -> None:
        self._device = device

    def demand(self, *, makes: bool) -> None:
        """Raise `NoOaepError` unless the token does RSA-OAEP and, where it is to, *makes* a key pair."""

        def work(login: Login, _: Session) -> None:
            login.demand(tokens.demand_oaep)
            if makes:
                login.demand(tokens.demand_pairs)

        self._device.run(work)

    def called(self, label: str) -> list[Public]:
        """What key pairs are called so."""
        return self._device.run(lambda _, session: [each.public for each in pair.find(session, label)])

    def loose(self, label: str, public: Public) -> list[str]:
        """What lets it leave the token, or be used without a PIN."""

        def work(login: Login, session: Session) -> list[str]:
            return pair.loose(session, _handle(login, session, label, public))

        return self._device.run(work)

    def missing(self, label: str, public: Public) -> list[str]:
        """What of it is known to be otherwise than was asked for."""

        def work(login: Login, session: Session) -> list[str]:
            return pair.missing(session, _handle(login, session, label, public))

        return self._device.run(work)

    def make(self, label: str) -> Public:
        """A new one. Raises `DeniedError` where it could leave the token, or when one is there by now."""

        def work(login: Login, session: Session) -> Public:
            made = pair.make(session, login.token.slot, label)
            if len(session.find(label=label, kind=CKO_PRIVATE_KEY)) == 1:
                return made.public
            # Another node of the same token was as quick; which of the two is meant nobody could tell.
            pair.remove(session, made)
            raise DeniedError(f'there is a key pair "{label}" meanwhile')

        return self._device.run(work, writes=True)

    def decrypt(self, label: str, public: Public, used: Hash, ciphertext: bytes) -> bytes:
        """Raises `SuspectError` for what may be another key's ciphertext; `KeyGoneError` without the pair."""

        def work(login: Login, session: Session) -> bytes:
            login.demand(tokens.demand_oaep)
            handle = _handle(login, session, label, public)
            return oaep.decrypt(session.module, session.handle, handle, used, ciphertext)

        return self._device.run(work)


def _handle(login: Login, session: Session, label: str, public: Public) -> int:
    """Looked for at each call: there are few. The same key twice opens the same."""
    found = [each.handle for each in pair.find(session, label) if each.public == public]
    if not found:
        login.demand_login(session)
        raise KeyGoneError(f'no key pair "{label}" has that public key')
    return found[0]
