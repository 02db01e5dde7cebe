"""One login to a token, and what lasts no longer than it: its sessions and the handles of keys.

An idle session, the anchor, holds the login, which ends with a token's last session. A token that allows but
one has none: each session then logs in for itself.
"""

from collections.abc import Callable
from threading import Lock
from typing import Final

from softhsm.pkcs11 import key
from softhsm.pkcs11.constants import Ckr, TokenFlag
from softhsm.pkcs11.errors import AwayError, KeyGoneError, LostError
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.pin import PinGuard
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Token

_ONLY: Final = 1


class Login:
    """*life* is the module's: nothing of an earlier one may be used, for handles begin anew at 1."""

    def __init__(self, module: Module, token: Token, pin: PinGuard, life: int) -> None:
        """Log in. Raises `PinError`, and whatever the module answers."""
        self.module = module
        self.token = token
        self.life = life
        self._pin = pin
        self._guard = Lock()
        self._idle: list[Session] = []
        self._handles: dict[str, int] = {}
        self._met: set[Callable[[Module, Token], None]] = set()
        self._ended = False
        self.private = bool(token.flags & TokenFlag.LOGIN_REQUIRED)
        self._lonely = token.max_sessions == _ONLY
        self._anchor = None if self._lonely else self._entered(Session(module, token.slot))

    def lend(self, *, writes: bool = False) -> Session:
        """An idle session or a new one; one that writes is always new."""
        with self._guard:
            if self._idle and not writes:
                return self._idle.pop()
        if writes or self._lonely:
            # A token may allow very few.
            self._close_idle()
        session = self._opened(writes=writes)
        return self._entered(session) if self._lonely else session

    def give_back(self, session: Session) -> None:
        with self._guard:
            if not self._ended:
                self._idle.append(session)
                return
        session.close()

    def forget(self) -> None:
        """What was known of keys may no longer be so, and no session that was idle is to be trusted."""
        self._close_idle()
        self._handles.clear()

    def demand(self, needed: Callable[[Module, Token], None]) -> None:
        """What one of its users cannot do without; asked of the token once in a login."""
        if needed not in self._met:
            needed(self.module, self.token)
            self._met.add(needed)

    def handle(self, session: Session, object_id: str) -> int:
        """The key's handle. Raises `KeyGoneError`."""
        known = self._handles.get(object_id)
        if known is None:
            try:
                known = key.find(session, object_id)
            except KeyGoneError:
                self.demand_login(session)
                # Another thread may have logged in again meanwhile.
                known = self._found_while_logged_in(session, object_id)
            self._handles[object_id] = known
        return known

    def _found_while_logged_in(self, session: Session, object_id: str) -> int:
        try:
            return key.find(session, object_id)
        except KeyGoneError:
            self.demand_login(session)
            raise

    def demand_login(self, session: Session) -> None:
        """Logged out behind us, a token shows no private objects, and no error either."""
        if self.private and not session.logged_in:
            raise LostError("the token has logged us out", Ckr.USER_NOT_LOGGED_IN)

    def end(self) -> None:
        """Close its sessions, with which the login ends too. Never raises."""
        with self._guard:
            self._ended = True
        self.forget()
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            anchor.close()

    def _close_idle(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _opened(self, *, writes: bool) -> Session:
        try:
            return Session(self.module, self.token.slot, writes=writes)
        except AwayError as error:
            if error.code != Ckr.SESSION_COUNT:
                raise
            # Others may have taken them; the login is good all the same.
            raise AwayError("the token has no session left for us") from None

    def _entered(self, session: Session) -> Session:
        if self.private:
            try:
                self._pin.log_in(session, self.token)
            except BaseException:
                session.close()
                raise
        return session
