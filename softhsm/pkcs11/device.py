"""A token that is kept open: what a call needs is there when it comes, and what was lost is brought back.

A call that fails for a reason that may heal climbs a ladder, each rung once: a new session, a new login, the
module finalized and initialized. What none of them mends is told, and nobody tries to connect again for 1, 2,
5, 10, 30 seconds. No rung follows a refused PIN.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Final, TypeVar

from softhsm.pkcs11 import token as tokens
from softhsm.pkcs11.constants import Ckr
from softhsm.pkcs11.errors import AwayError, LostError, PinError, Pkcs11Error, SuspectError, again
from softhsm.pkcs11.lanes import Lanes
from softhsm.pkcs11.login import Login
from softhsm.pkcs11.module import Module
from softhsm.pkcs11.pin import Pin, PinGuard
from softhsm.pkcs11.session import Session
from softhsm.pkcs11.token import Token, Wanted

_PAUSES: Final = (1, 2, 5, 10, 30)  # seconds
# Its number may be another session's by now.
_NOT_TO_CLOSE: Final = (Ckr.CRYPTOKI_NOT_INITIALIZED, Ckr.SESSION_CLOSED, Ckr.SESSION_HANDLE_INVALID)

T = TypeVar("T")
Work = Callable[[Login, Session], T]


class Device:
    """*seconds* is how long a call may wait for lanes and rungs; nothing ends what is in the module."""

    def __init__(
        self, module: Module, wanted: Wanted, pin: Pin | None, *, lanes: int, seconds: float
    ) -> None:
        self._module = module
        self._wanted = wanted
        self._pin = PinGuard(pin)
        self._most = lanes
        self._seconds = seconds
        self._lanes = Lanes(lanes, seconds)
        self._lock = Lock()
        self._locked_since = 0.0
        self._login: Login | None = None
        self._life = 0
        self._failure: Pkcs11Error | None = None
        self._failures = 0
        self._not_before = 0.0

    def run(self, work: Callable[[Login, Session], T], *, writes: bool = False) -> T:
        """Do *work* in a session that no other thread has. Raises `Pkcs11Error`.

        It is done again, up to three times, where the session, the login or the module proves to be lost.
        """
        deadline = monotonic() + self._seconds
        login = self._as_it_is(deadline, None)
        for rung in (self._as_it_is, self._logged_in_anew, self._started_anew, None):
            try:
                with self._lanes.call(deadline):
                    return self._attempt(login, work, writes=writes)
            except SuspectError:
                raise
            except LostError as error:
                if rung is None or monotonic() > deadline:
                    gone = AwayError(str(error), error.code)
                    self._fail(gone, login)
                    raise gone from error
            except AwayError as error:
                if error.code:
                    self._fail(error, login)
                raise
            login = rung(deadline, login)
        raise AssertionError

    def token(self) -> Token:
        """What the token says of itself now."""
        return self.run(lambda login, _: Token.at(login.module, login.token.slot))

    def about(self) -> str:
        """The module's maker and version."""
        return self.run(lambda login, _: login.module.about())

    def close(self) -> None:
        """Log out and finalize the module; if a call hangs in there, leave all as it is."""
        deadline = monotonic() + self._seconds
        try:
            with self._locked(deadline), self._lanes.alone(deadline):
                self._drop()
                self._failure, self._failures = None, 0
        except AwayError:
            return

    def _attempt(self, login: Login, work: Work[T], *, writes: bool) -> T:
        if login.life != self._life:
            raise LostError("the module was started anew meanwhile")
        session = login.lend(writes=writes)
        try:
            done = work(login, session)
        except Pkcs11Error as error:
            if error.code not in _NOT_TO_CLOSE:
                session.close()
            login.forget()
            raise
        except BaseException:
            session.close()
            raise
        if writes:
            session.close()
        else:
            login.give_back(session)
        return done

    def _as_it_is(self, deadline: float, failed: Login | None) -> Login:
        del failed  # its idle sessions are closed, its handles forgotten
        login = self._login
        if login is not None:
            return login
        with self._locked(deadline):
            return self._login or self._connect(deadline)

    def _logged_in_anew(self, deadline: float, failed: Login) -> Login:
        with self._locked(deadline):
            # Somebody else may have been here while we waited.
            if self._login is not failed:
                return self._login or self._connect(deadline)
            failed.end()
            try:
                return self._keep(Login(self._module, failed.token, self._pin, self._life))
            except LostError:
                return self._connect(deadline)

    def _started_anew(self, deadline: float, failed: Login) -> Login:
        with self._locked(deadline):
            if self._login is not None and self._login is not failed:
                return self._login
            return self._connect(deadline)

    def _connect(self, deadline: float) -> Login:
        """C_Initialize, find, C_Login, from the beginning. The caller holds the lock and is in no lane."""
        if self._failure is not None and monotonic() < self._not_before:
            raise again(self._failure)
        self._pin.demand_untried()
        try:
            with self._lanes.alone(deadline):
                self._drop()
                self._module.initialize()
                token = tokens.find(self._module, self._wanted)
                return self._keep(Login(self._module, token, self._pin, self._life))
        except Pkcs11Error as error:
            told = AwayError(str(error), error.code) if isinstance(error, LostError) else again(error)
            # A refused PIN waits for another one, and for nothing else.
            if not (isinstance(error, PinError) and error.code):
                self._fail(told, self._login)
            raise told from error

    def _keep(self, login: Login) -> Login:
        most = login.token.max_sessions
        # One is the anchor's.
        self._lanes.limit(min(self._most, most - 1) if most else self._most)
        self._login, self._failure, self._failures = login, None, 0
        return login

    def _drop(self) -> None:
        """Finalize the module. Nobody is inside of it, and nothing of an earlier login is used again."""
        login, self._login = self._login, None
        self._life += 1
        if login is not None:
            login.end()
        self._module.finalize()

    def _fail(self, error: Pkcs11Error, login: Login | None) -> None:
        """The next call connects from the beginning, and not at once."""
        if self._login is login:
            self._login = None
        self._failure = again(error)
        self._not_before = monotonic() + _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1

    @contextmanager
    def _locked(self, deadline: float) -> Iterator[None]:
        """For who connects. Raises `AwayError` where another does so without an end."""
        since = self._locked_since
        hangs = bool(since) and monotonic() - since > self._seconds
        if not self._lock.acquire(timeout=0 if hangs else max(0.0, deadline - monotonic())):
            raise AwayError(f"connecting to the token has taken {monotonic() - since:.0f} s and goes on")
        self._locked_since = monotonic()
        try:
            yield
        finally:
            self._locked_since = 0.0
            self._lock.release()
