"""Calls, in the names of go-grpc-prometheus: every method and code there is, from the first scrape on."""

from collections.abc import Iterator

from appliance import faults
from appliance.faults import Fault, Kind
from appliance.faults import calls as callers
from appliance.service.metrics import table
from appliance.service.metrics.moment import Moment
from appliance.service.metrics.table import Sample
from appliance.service.rpc import answers
from appliance.service.rpc.calls import Begun
from appliance.telemetry.counts import EXPORTS, Calls

_OK = "OK"
# As gRPC's Go side writes them, and the API server with it.
_CODES = {code: code.name.title().replace("_", "") for code in answers.Code}
# What any caller of the KMS socket can bring about, so that the first time is seen as an increase.
_FORESEEN = [
    fault.id
    for fault in vars(callers).values()
    if isinstance(fault, Fault) and fault.kind is not Kind.REFUSED
]


def samples(moment: Moment) -> Iterator[Sample]:
    for service in moment.services:
        for method, answering in service.methods.items():
            calls = moment.counts.calls.get(method) or Calls()
            yield from _method(("unary", service.name, method), answering.begun, calls)
            yield from _refusals(method, calls, foreseen=not answering.frank)
            if not answering.frank:
                yield Sample(table.LAST_CALL, calls.last, (method,))
    yield Sample(table.WAITING, moment.waiting)
    for what in EXPORTS.values():
        yield Sample(table.EXPORTS, moment.counts.exports[what], (what,))
    yield Sample(table.INVITATION, moment.invited)


def _method(labels: tuple[str, ...], begun: Begun, calls: Calls) -> Iterator[Sample]:
    by_code = dict.fromkeys(_CODES.values(), 0)
    for name, number in dict(calls.refused).items():
        if fault := faults.named(name):
            by_code[_CODES[answers.code(fault)]] += number
    for code, number in {_OK: calls.well, **by_code}.items():
        yield Sample(table.HANDLED, number, (*labels, code))

    # Behind those that were answered, which it must not be less than: calls go on meanwhile.
    yield Sample(table.STARTED, begun.number, labels)
    yield Sample(table.HANDLING, calls, labels)


def _refusals(method: str, calls: Calls, *, foreseen: bool) -> Iterator[Sample]:
    numbers = {**dict.fromkeys(_FORESEEN if foreseen else (), 0), **calls.refused}
    for name, number in numbers.items():
        yield Sample(table.REFUSALS, number, (method, name))
