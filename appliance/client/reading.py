"""What the admin service answers, in the words of a report. Needs no gRPC: the server reads it, too."""

from appliance.client.report import BackupRow, Changed, EngineRow, KeyRow, LossRow, Reason, RefusedRow, Report
from proto.admin import admin_pb2


def read_report(reply: admin_pb2.ReportReply) -> Report:
    return Report(
        state=reply.state,
        reason_id=reply.reason_id,
        reason=reply.reason,
        socket=reply.socket,
        key_id=reply.key_id,
        lineage=reply.lineage,
        keyset=reply.keyset,
        generation=reply.generation,
        protection=reply.protection,
        keys=[key_row(key) for key in reply.keys],
        backup=_backup_row(reply.backup) if reply.HasField("backup") else None,
        reasons=[Reason(each.id, each.reason) for each in reply.reasons],
        refused=[_refused_row(each) for each in reply.refused],
        losses=[
            LossRow(each.unix, each.generation, each.found, list(each.keys), each.reason)
            for each in reply.losses
        ],
        engines=[_engine_row(each) for each in reply.engines],
    )


def changed(reply: admin_pb2.ChangeReply) -> Changed:
    return Changed(tuple(reply.said), reply.keyset, reply.generation, key_row(reply.key))


def key_row(key: admin_pb2.Key) -> KeyRow:
    return KeyRow(
        name=key.name,
        key_id=key.key_id,
        state=key.state,
        since=key.since,
        adopted=key.adopted,
        wrapped=key.wrapped,
        unwrapped=key.unwrapped,
        engine=key.engine,
    )


def _backup_row(backup: admin_pb2.Backup) -> BackupRow:
    return BackupRow(backup.generation, backup.verified, backup.file, list(backup.lacks))


def _engine_row(engine: admin_pb2.Engine) -> EngineRow:
    away = Reason(engine.away.id, engine.away.reason) if engine.HasField("away") else None
    return EngineRow(engine.name, engine.remote, engine.keys, away, engine.since, engine.used_from)


def _refused_row(refused: admin_pb2.Refused) -> RefusedRow:
    return RefusedRow(refused.sort, refused.count, refused.first, refused.last, list(refused.key_ids))
