"""Keys and slots that a Transit server keeps: where to look and what to do."""

from appliance import faults
from appliance.faults import transit
from appliance.runbook.effects import ITS_CALLS, NEXT_START
from appliance.runbook.entry import Advice, Room, Wake

_LOOK = ("kleidi transit check", "kleidi status")
_SERVER = (*_LOOK, "bao status")
_KEY = ("kleidi transit check", "kleidi key list", "bao read transit/keys/KEY")
_MEANWHILE = "Where it keeps the seal's slot: `kleidi unseal` with another slot serves at once"
_NO_RESTART = (
    "Restart no API server meanwhile: they go on with what is in their memory, which a restart loses"
)
_AWAY = (_NO_RESTART, _MEANWHILE)
_WRITES = "Restart no API server before: it reads what is in its memory, and writes for three minutes"
_RENEW = (
    "Where it keeps the seal's slot alone: `kleidi unseal` with another slot, then `kleidi slot renew "
    "transit`"
)
_LOGIN = (
    "See whether the role, its secret or its certificate has run out, and who renews it",
    *_AWAY,
)


def _away(*steps: str, look: tuple[str, ...] = _LOOK) -> Advice:
    return Advice(effect=ITS_CALLS, look=look, do=(*steps, *_AWAY))


ROOM = Room(
    "Transit",
    transit,
    _LOOK,
    {
        faults.TRANSIT_UNSET: Advice(effect=ITS_CALLS, do=(_NO_RESTART,)),
        faults.TRANSIT_AWAY: _away(
            "Every server that is named is asked in turn: one is enough", look=_SERVER
        ),
        faults.TRANSIT_SEALED: _away(look=_SERVER),
        faults.TRANSIT_BUSY: _away("We ask little: look which client uses the quota up"),
        faults.TRANSIT_TLS: _away(
            (
                "After a change of the server's CA: the new one goes into KLEIDI_TRANSIT_CA_FILE ahead of "
                "the certificate"
            ),
            look=(*_LOOK, "openssl s_client -connect HOST:8200 -servername HOST"),
        ),
        faults.TRANSIT_LOGIN: Advice(effect=ITS_CALLS, do=_LOGIN),
        faults.TRANSIT_SECRET: _away(look=(*_LOOK, "ls -ln /etc/kleidi/transit")),
        faults.TRANSIT_DENIED: _away(look=(*_LOOK, "kleidi transit policy")),
        faults.TRANSIT_PLACE: _away(look=(*_LOOK, "bao secrets list")),
        faults.TRANSIT_ANSWER: _away(look=(*_LOOK, "curl -sS https://HOST:8200/v1/sys/health")),
        faults.TRANSIT_KEY_GONE: Advice(
            look=_KEY,
            do=(
                "Restore it from the server's backup or snapshot, under its own name; make none anew",
                _WRITES,
                _RENEW,
                (
                    "If it is lost: writes can go on with another key (`kleidi key stage --engine softhsm`, "
                    "promote), what it encrypted can not be read"
                ),
                "Then set deletion_allowed=false on the others",
            ),
        ),
        faults.TRANSIT_KEY_OFF: Advice(
            look=_KEY,
            do=(
                _WRITES,
                _RENEW,
                "A trimmed version comes back only with the server's backup",
            ),
        ),
        faults.TRANSIT_KEY_OTHER: Advice(
            look=_KEY,
            do=(
                _WRITES,
                _RENEW,
            ),
        ),
        faults.TRANSIT_KEY_UNFIT: Advice(look=_KEY),
        faults.TRANSIT_ROTATE_FIRST: Advice(look=_KEY),
        faults.SLOT_TRANSIT_AWAY: Advice(
            effect=NEXT_START,
            look=(*_SERVER, "kleidi slot list"),
            do=(
                "If the server comes up only with this cluster, give the node a slot of another kind besides",
            ),
        ),
        faults.TRANSIT_NEWER: Advice(look=_KEY, wake=Wake.NEVER),
        faults.TRANSIT_MINIMUM: Advice(
            look=_KEY,
            do=(
                "Do it before the next restart of an API server: its memory may hide that reads fail already",
            ),
        ),
        faults.TRANSIT_DELETABLE: Advice(
            look=_KEY, do=("`bao write transit/keys/KEY/config deletion_allowed=false`",)
        ),
        faults.TRANSIT_AUTO_ROTATE: Advice(look=_KEY, wake=Wake.NEVER),
        faults.TRANSIT_RESTORED: Advice(
            look=_KEY,
            do=(
                (
                    "A version that the backup had forgotten gets another key at the next rotation, and is "
                    "told as E-TRANSIT-KEY-OTHER"
                ),
            ),
        ),
        faults.TRANSIT_IMPORTED: Advice(look=_KEY, wake=Wake.NEVER),
        faults.TRANSIT_RIGHTS: Advice(look=(*_LOOK, "kleidi transit policy")),
        faults.TRANSIT_UPSERT: Advice(look=(*_LOOK, "bao read transit/config/keys")),
    },
)
