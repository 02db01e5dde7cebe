"""/livez, /readyz and /healthz, answered as the control plane's own programs do (k8s.io/apiserver, healthz).

`?verbose` lists the checks, and so does a failure; `?exclude=NAME`, as often as one likes, leaves checks out;
/readyz/NAME asks one of them. Other than there, a failure is 503 and says why.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from appliance.service.checks import Check, Verdict
from appliance.service.sockets.http import UNAVAILABLE, Answer, Route, Routes
from appliance.service.sockets.request import Query

Look = Callable[[], Sequence[Check]]


def alive() -> list[Check]:
    return [Check("ping")]


def _nothing() -> list[Check]:
    return []


@dataclass(frozen=True)
class Checklist:
    """*names* are those of all checks; *also* never fail, and are asked for only when they are to be told."""

    name: str
    names: Sequence[str]
    look: Look
    also: Look = _nothing

    def routes(self) -> Routes:
        each = {f"/{self.name}/{name}": Route(partial(self._one, name)) for name in self.names}
        return {f"/{self.name}": Route(self._all), **each}

    def _all(self, query: Query) -> Answer:
        excluded, found = set(query.get("exclude", ())), self.look()
        failed = any(check.verdict is Verdict.FAILED and check.name not in excluded for check in found)
        if not failed and "verbose" not in query:
            return Answer("ok")
        lines = [
            f"[+]{check.name} excluded: ok" if check.name in excluded else str(check)
            for check in (*found, *self.also())
        ]
        if unknown := sorted(excluded - set(self.names)):
            quoted = ", ".join(map(json.dumps, unknown))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        lines.append(f"{self.name} check {'failed' if failed else 'passed'}")
        text = "\n".join(lines)
        return Answer(text, UNAVAILABLE) if failed else Answer(text)

    def _one(self, name: str, _query: Query) -> Answer:
        check = next(check for check in (*self.look(), *self.also()) if check.name == name)
        if check.verdict is Verdict.FAILED:
            return Answer(check.words, UNAVAILABLE)
        return Answer("ok" if check.verdict is Verdict.OK else f"ok, but {check.words}")
