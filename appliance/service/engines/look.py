"""One look at a remote engine: whether it is there, and whether each key is the one it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance import faults
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import AwayError, Engine, EngineError, Inspects, LostError, OffError
from appliance.keys.keyring import Keyring
from appliance.service.standing import Reason


@dataclass(frozen=True)
class Look:
    """What a remote engine looks like: *proved* keys by id, why calls fail, and what else there is to say.

    *away* is why none is answered; *off* the keys that it will not use any more, each with the reason.
    *thorough*: every key was asked, and what there is to warn of.
    """

    thorough: bool = False
    proved: tuple[str, ...] = ()
    away: Reason | None = None
    off: Mapping[str, Reason] = field(default_factory=dict)
    warnings: Mapping[Fault, str] = field(default_factory=dict)


def look(keyring: Keyring, name: str, engine: Engine, *, thorough: bool) -> Look:
    """A round trip with the primary key, or, where that is another engine's, its keys' known answers.

    *thorough* asks for all keys' and for what it warns of. Asks the network; does not raise.
    """
    primary = keyring.keyset.primary
    proved: tuple[str, ...] = ()
    off: dict[str, Reason] = {}
    try:
        if primary.engine == name:
            keyring.probe()
            proved = (primary.id,)
        if thorough or primary.engine != name:
            off = {key.id: _reason(error) for key, error in keyring.failing(name).items()}
        told = engine.inspect() if thorough and isinstance(engine, Inspects) else {}
    except AwayError as error:
        return Look(proved=proved, away=_reason(error))
    except LostError as error:
        return Look(proved=proved, away=(faults.ENGINE_SHUT, str(error)))
    except OffError as error:
        return _off(keyring, _reason(error))
    except (EngineError, KleidiError) as error:  # none but the round trip ends so
        detail = error.brief if isinstance(error, KleidiError) else str(error)
        return Look(off={primary.id: (faults.PRIMARY_WRONG, detail)})
    return Look(thorough, proved, off=off, warnings=told)


def _off(keyring: Keyring, reason: Reason) -> Look:
    """The primary key is refused: only for encrypting, while what it encrypted can be read, or wholly."""
    primary = keyring.keyset.primary
    try:
        failing = keyring.failing(primary.engine)
    except AwayError as error:
        return Look(away=_reason(error))
    off = {key.id: _reason(error) for key, error in failing.items()}
    if primary.id in off:
        return Look(off=off)
    return Look(away=(faults.KEY_ENCRYPTS_NOT, KleidiError(*reason).brief), off=off)


def _reason(error: EngineError) -> Reason:
    if isinstance(error, AwayError | OffError):
        return error.reason
    return faults.KEY_UNREADABLE, str(error)
