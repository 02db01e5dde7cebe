"""Is it safe to do without a key? Each condition by itself. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.volume.ledger import Use

# The API server keeps an unwrapped seed for 24 h, so silence says nothing before (kmsv2/cache.go).
_SILENCE_SECONDS = 25 * 3600


class Verdict(StrEnum):
    PASS = "PASS"  # noqa: S105  not a password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Question(StrEnum):
    """What is asked of each key; every answer is a Condition of that name."""

    NOT_PRIMARY = "not primary"
    NEW_KEY_IN_USE = "new key in use"
    NOT_ASKED_FOR = "not asked for"
    NOTHING_STORED = "nothing stored"
    BACKED_UP = "backed up"


@dataclass(frozen=True)
class Condition:
    name: Annotated[str, "not primary, new key in use, not asked for, nothing stored or backed up"]
    verdict: Annotated[Verdict, "PASS, FAIL or UNKNOWN"]
    text: Annotated[str, "what was found"]


@dataclass(frozen=True)
class Judgement:
    """Whether a verb would be carried out now, and why it is so where that has to be said."""

    allowed: bool
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is known beside the key set. *stored* is None when nobody counted all stored objects."""

    served: int
    use: Use
    primary_use: Use
    stored: int | None = None
    backed_up: bool | None = None


def conditions(keyset: KeySet, key: Key, known: Evidence) -> list[Condition]:
    return [
        _not_primary(key),
        _primary_in_use(keyset, known),
        _silence(key, known),
        _stored(key, known),
        _backup(known),
    ]


def may_disable(found: list[Condition]) -> bool:
    """Nothing speaks against it, and either nothing is stored under the key or nobody asked for it."""
    verdicts = _verdicts(found)
    if (
        verdicts[Question.NOT_PRIMARY] is not Verdict.PASS
        or verdicts[Question.NOTHING_STORED] is Verdict.FAIL
    ):
        return False
    quiet = (
        verdicts[Question.NEW_KEY_IN_USE] is Verdict.PASS and verdicts[Question.NOT_ASKED_FOR] is Verdict.PASS
    )
    return verdicts[Question.NOTHING_STORED] is Verdict.PASS or quiet


def may_destroy(found: list[Condition]) -> bool:
    """Only a whole count of the stored objects proves it."""
    verdicts = _verdicts(found)
    return (
        verdicts[Question.NOT_PRIMARY] is Verdict.PASS and verdicts[Question.NOTHING_STORED] is Verdict.PASS
    )


def regardless(found: list[Condition]) -> str:
    """Why a verb is allowed although not every condition holds."""
    others = [f"'{one.name}' ({one.verdict})" for one in found if one.verdict is not Verdict.PASS]
    return f"without regard to {' and '.join(others)}" if others else ""


def _verdicts(found: list[Condition]) -> dict[str, Verdict]:
    return {condition.name: condition.verdict for condition in found}


def _judged(question: Question, verdict: bool | None, text: str) -> Condition:
    return Condition(
        question, Verdict.UNKNOWN if verdict is None else Verdict.PASS if verdict else Verdict.FAIL, text
    )


def _not_primary(key: Key) -> Condition:
    return _judged(Question.NOT_PRIMARY, key.state is not KeyState.PRIMARY, f"{key.name} is {key.state}")


def _primary_in_use(keyset: KeySet, known: Evidence) -> Condition:
    count = known.primary_use.wrapped
    return _judged(
        Question.NEW_KEY_IN_USE, count > 0, f"{keyset.primary.name} encrypted {count} seeds on this node"
    )


def _silence(key: Key, known: Evidence) -> Condition:
    last = max(known.use.last_unwrapped, key.since.served)
    silent = known.served - last
    hours = f"{silent / 3600:.1f} h of serving without a Decrypt, {_SILENCE_SECONDS // 3600} wanted"
    return _judged(Question.NOT_ASKED_FOR, True if silent >= _SILENCE_SECONDS else None, hours)


def _stored(key: Key, known: Evidence) -> Condition:
    if known.stored is None:
        return _judged(
            Question.NOTHING_STORED,
            None,
            "no whole count; give what `kleidi usage -o json` printed as --usage",
        )
    return _judged(
        Question.NOTHING_STORED, known.stored == 0, f"{known.stored} objects are stored under {key.name}"
    )


def _backup(known: Evidence) -> Condition:
    texts = {
        None: "no backup was ever verified here",
        True: "a verified backup holds all keys",
        False: "the backup verified last lacks keys",
    }
    return _judged(Question.BACKED_UP, known.backed_up, texts[known.backed_up])
