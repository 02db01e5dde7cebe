"""What another engine costs those who call: Transit beside a client in Go, SoftHSM beside its code before."""

import contextlib
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.caller import Caller, Told, delayed
from tests.bench.processes import cpu, pss
from tests.bench.rounds import in_turns, ratio
from tests.bench.served import Served, earlier
from tests.transit.node import admitted
from tests.transit.openbao import Node, single
from tests.usage.authority import Authority

BEFORE = "10f46bd"  # the last commit with SoftHSM alone
_MANY = 16
_ROUNDS = 60  # many and short: what others do on this machine then hits all that are compared


def table(root: Path, rounds: int = _ROUNDS) -> list[str]:
    title = f"engines, {rounds} rounds in turns, medians"
    rows = [f"{title:60} {'measured':>10} {'beside':>10}    ratio   aim"]
    with Caller() as caller:
        with single(root / "bao", Authority(root / "authority")) as server:
            rows += _near(root, caller, server, rounds)
            for milliseconds in (5, 40):
                rows += _far(root, caller, server, rounds // 4, milliseconds)
            rows += _memory(root, caller, server)
        return rows + _softhsm(root, caller, rounds)


def _near(root: Path, caller: Caller, server: Node, rounds: int) -> list[str]:
    with Served(root / "near", {"engine": "transit", **admitted(server, root / "near-login")}) as own:
        token = _token_like_ours(server)
        ours, theirs, empty = _in_turns(
            rounds,
            lambda: caller.kms(own.socket, calls=20),
            lambda: caller.transit(server, token, calls=20),
            lambda: caller.kms(own.socket, "Status", calls=20),
        )
    return [
        _row("Transit, 1 caller, p50 us; vault/api in Go", _p50(ours), _p50(theirs), "<= 1.3"),
        _row("  of it gRPC, as a Status call has it; the same", _p50(empty), _p50(theirs)),
    ]


def _far(root: Path, caller: Caller, server: Node, rounds: int, milliseconds: int) -> list[str]:
    where = f"Transit {milliseconds} ms away, {_MANY} callers, calls/s"
    with contextlib.ExitStack() as exits:
        address = exits.enter_context(delayed(server, milliseconds))
        told = {"engine": "transit", **admitted(server, root / f"far-login-{milliseconds}", [address])}
        many, one = (
            exits.enter_context(
                Served(root / f"far-{milliseconds}-{lanes}", {**told, "transit_lanes": str(lanes)})
            )
            for lanes in (_MANY, 1)
        )
        token = _token_like_ours(server)
        with_many, with_one, go_many, go_one = _in_turns(
            rounds,
            lambda: caller.kms(many.socket, callers=_MANY, calls=20),
            lambda: caller.kms(one.socket, callers=_MANY, calls=2),
            lambda: caller.transit(server, token, address=address, callers=_MANY, calls=20),
            lambda: caller.transit(server, token, address=address, calls=32),
        )
    aim = ">= 10" if milliseconds == 5 else ""
    return [
        _row(f"{where}: {_MANY} lanes; 1 lane", _rates(with_many), _rates(with_one), aim),
        _row(f"  vault/api in Go: {_MANY} callers; 1 caller", _rates(go_many), _rates(go_one)),
    ]


def _softhsm(root: Path, caller: Caller, rounds: int) -> list[str]:
    with earlier(BEFORE) as tree:
        if tree is None:
            return [f"  SoftHSM beside {BEFORE}: not measured, this repository does not have the commit"]
        with Served(root / "now") as now, Served(root / "before", tree=tree) as before:
            spent: dict[tuple[Served, int], list[float]] = {}

            def work(served: Served, callers: int, calls: int) -> Callable[[], Told]:
                def call() -> Told:
                    began = cpu([served.pid])
                    told = caller.kms(served.socket, callers=callers, calls=calls)
                    each = (cpu([served.pid]) - began) / told.calls
                    spent.setdefault((served, callers), []).append(each)
                    return told

                return call

            ones, ones_before = _in_turns(rounds, work(now, 1, 40), work(before, 1, 40))
            many, many_before = _in_turns(rounds, work(now, _MANY, 8), work(before, _MANY, 8))
            return [
                _row(f"SoftHSM, 1 caller, p50 us; at {BEFORE}", _p50(ones), _p50(ones_before), "<= 1.03"),
                _row("  CPU of serve, us a call; the same", spent[now, 1], spent[before, 1], "<= 1.03"),
                _row(f"SoftHSM, {_MANY} callers, calls/s", _rates(many), _rates(many_before), ">= 0.97"),
                _row("  CPU of serve, us a call", spent[now, _MANY], spent[before, _MANY], "<= 1.03"),
                _row("SoftHSM, MiB PSS of serve after it", [pss([now.pid])], [pss([before.pid])], "1.00"),
            ]


def _memory(root: Path, caller: Caller, server: Node) -> list[str]:
    with (
        Served(root / "alone") as alone,
        Served(root / "both", admitted(server, root / "both-login")) as both,
    ):
        for served in (alone, both):
            caller.kms(served.socket, callers=_MANY, calls=20)
        both.run("key", "rotate", "--engine", "transit")
        for served in (alone, both):
            caller.kms(served.socket, callers=_MANY, calls=40)
        with_both, without = pss([both.pid]), pss([alone.pid])
    aim = f"+8 MiB at most: {with_both - without:+.1f}"
    return [_row("SoftHSM and Transit, MiB PSS of serve; SoftHSM alone", [with_both], [without], aim)]


def _row(name: str, measured: Sequence[float], beside: Sequence[float], aim: str = "") -> str:
    """Both of them round by round: the ratio is that of rounds, which had the same noise."""
    one, other = statistics.median(measured), statistics.median(beside)
    return f"  {name:58} {one:10.1f} {other:10.1f} {ratio(measured, beside):7.2f}x   {aim}"


def _token_like_ours(server: Node) -> str:
    """Of the same policy: root's would spare the server the look at it."""
    return server.token("kleidi-kleidi", ttl="1h")


def _in_turns(rounds: int, *works: Callable[[], Told]) -> list[list[Told]]:
    found = list(in_turns(rounds, dict(enumerate(works))).values())
    errors = [told.error for each in found for told in each if told.failed]
    assert not errors, errors[0]
    return found


def _p50(rounds: Sequence[Told]) -> list[float]:
    return [told.p50 for told in rounds]


def _rates(rounds: Sequence[Told]) -> list[float]:
    return [told.rate for told in rounds]
