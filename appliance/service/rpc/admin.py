"""The admin service: what the command line asks of the running server."""

from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import faults
from appliance.age.key_pairs import Recipients
from appliance.backup.verified import Coverage, Record
from appliance.client.reading import read_report
from appliance.faults import KleidiError
from appliance.keys.found import FoundToken
from appliance.keys.keyset import Key
from appliance.ops.operations import Command, Outcome, Verb
from appliance.service import limits
from appliance.service.changes import Changes
from appliance.service.keeper import Keeper
from appliance.service.rpc import calls
from appliance.service.standing import Reason
from appliance.service.tripwire import Tripwire
from appliance.telemetry import Observer
from appliance.volume.ledger import Ledger
from proto.admin import admin_pb2 as pb

# A token of a thousand keys has a megabyte.
LARGEST = 8 * 1024 * 1024
_NO_RECORD = Record()
# Adopting brings files along and has a method of its own.
_VERBS = set(Verb) - {Verb.ADOPT, Verb.DISCOVER}


@dataclass(frozen=True)
class Admin:
    keeper: Keeper
    socket: Path
    changes: Changes
    ledger: Ledger
    tripwire: Tripwire
    observer: Observer
    verified: Record = _NO_RECORD

    def service(self, *more: calls.Methods) -> calls.Service:
        methods: dict[str, calls.Method] = {
            "Report": (pb.ReportRequest, self.report),
            "Change": (pb.ChangeRequest, self.change),
            "Check": (pb.CheckRequest, self.check),
            "Adopt": (pb.AdoptRequest, self.adopt),
            "Bundle": (pb.BundleRequest, self.bundle),
        }
        for others in more:
            methods.update(others)
        return calls.service(
            "kleidi.admin.v1.Admin",
            methods,
            self.observer,
            largest=LARGEST,
            message=limits.BY_HAND,
            frank=True,
        )

    async def report(self, _request: pb.ReportRequest) -> pb.ReportReply:
        return self.told()

    def status_json(self) -> str:
        """What `kleidi status --output json` would print now."""
        return read_report(self.told()).to_json()

    def told(self) -> pb.ReportReply:
        """How things stand, at once."""
        standing = self.keeper.standing()
        reply = pb.ReportReply(
            state=standing.state,
            socket=str(self.socket),
            generation=standing.generation,
            protection=standing.protection,
            lineage=standing.lineage,
        )
        if standing.reason is not None:
            reply.reason_id, reply.reason = standing.reason.id, _words((standing.reason, standing.detail))
        for each in standing.reasons:
            reply.reasons.add(id=each[0].id, reason=_words(each))
        for sort, tally in self.tripwire.tallies().items():
            reply.refused.add(sort=sort, **asdict(tally))
        if standing.keyset is not None:
            reply.key_id = standing.keyset.primary.id
            reply.lineage, reply.keyset = standing.keyset.lineage, standing.keyset.hash
            reply.keys.extend(self._key(key) for key in standing.keyset.keys)
            for loss in standing.losses:
                reply.losses.add(**asdict(loss))
            for engine in self.keeper.engines():
                told = reply.engines.add(
                    name=engine.name,
                    remote=engine.remote,
                    keys=engine.keys,
                    since=engine.since,
                    used_from=engine.used_from,
                )
                if engine.away:
                    told.away.id, told.away.reason = engine.away[0].id, _words(engine.away)
            if covered := self.covered():
                reply.backup.generation, reply.backup.verified = covered.generation, covered.unix
                reply.backup.file = covered.file
                reply.backup.lacks.extend(covered.lacks)
        return reply

    def covered(self) -> Coverage | None:
        """What the bundle that was verified last holds of our keys; None when there was none."""
        keyset = self.keeper.standing().keyset
        return Coverage.of(self.verified, keyset) if keyset else None

    async def change(self, request: pb.ChangeRequest) -> pb.ChangeReply:
        if request.verb not in _VERBS:
            raise KleidiError(faults.REQUEST_INVALID, f"verb {request.verb!r}")
        command = Command(
            Verb(request.verb),
            key=request.key,
            typed=request.typed,
            expect_keyset=request.expect_keyset,
            stored=request.stored if request.HasField("stored") else None,
            force=request.force,
            without_backup=request.without_backup,
            reason=request.reason,
            dry_run=request.dry_run,
            by=calls.CALLER.get(),
            engine=request.engine,
        )
        return self.changed(await self.changes.change(command))

    async def check(self, request: pb.CheckRequest) -> pb.CheckReply:
        stored = request.stored if request.HasField("stored") else None
        key, found, disable, destroy = self.changes.check(request.key, stored)
        conditions = [pb.Condition(name=one.name, verdict=one.verdict, text=one.text) for one in found]
        return pb.CheckReply(
            key_id=key.id,
            conditions=conditions,
            may_disable=disable.allowed,
            disable_why=disable.why,
            may_destroy=destroy.allowed,
            destroy_why=destroy.why,
        )

    async def adopt(self, request: pb.AdoptRequest) -> pb.ChangeReply:
        command = Command(Verb.ADOPT, dry_run=request.dry_run, by=calls.CALLER.get())
        if request.engine:
            place = request.engine, request.name, request.key_id
            return self.changed(await self.changes.take_over(*place, command))
        found = FoundToken(dict(request.files), request.pin, request.token_label, request.key_label)
        return self.changed(await self.changes.adopt(found, request.annotation, command))

    async def bundle(self, request: pb.BundleRequest) -> pb.BundleReply:
        recipients = Recipients(tuple(request.recipients))
        by = calls.CALLER.get()
        data, opened = await self.changes.bundle(recipients, request.reason, dry_run=request.dry_run, by=by)
        return pb.BundleReply(
            bundle=data,
            lineage=opened.header.lineage,
            generation=opened.header.generation,
            keyset=opened.payload.keyset.hash,
        )

    def changed(self, outcome: Outcome) -> pb.ChangeReply:
        return pb.ChangeReply(
            said=outcome.said,
            keyset=outcome.opened.payload.keyset.hash,
            generation=outcome.opened.header.generation,
            key=self._key(outcome.key),
        )

    def _key(self, key: Key) -> pb.Key:
        use = self.ledger.use(key.id)
        return pb.Key(
            key_id=key.id,
            state=key.state,
            name=key.name,
            since=key.since.unix,
            adopted=key.adopted is not None,
            wrapped=use.wrapped,
            unwrapped=use.unwrapped,
            engine=key.engine,
        )


def _words(reason: Reason) -> str:
    fault, detail = reason
    return f"{fault} ({detail})" if detail else str(fault)
