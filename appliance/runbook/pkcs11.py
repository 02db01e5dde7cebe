"""A hardware module, for keys or for the seal: where to look and what to do."""

from appliance import faults
from appliance.faults import pkcs11
from appliance.runbook.effects import ITS_CALLS, NEXT_START
from appliance.runbook.entry import Advice, Room, Wake

_LOOK = ("kleidi hsm check", "kleidi status")
_OBJECTS = (*_LOOK, "kleidi key list")
# `hsm check` logs in, which costs a try where the PIN is wrong.
_PIN = ("kleidi status", "ls -ln /etc/kleidi/pkcs11")
_MEANWHILE = "Where it opens the seal: `kleidi unseal` with another slot serves at once"
_NO_TRIES = (
    "Try no PIN by hand and run no `kleidi hsm check` before the file is right: each login may cost a try"
)


def _away(*steps: str, look: tuple[str, ...] = _LOOK) -> Advice:
    return Advice(effect=ITS_CALLS, look=look, do=(*steps, _MEANWHILE))


ROOM = Room(
    "Hardware modules",
    pkcs11,
    _LOOK,
    {
        faults.PKCS11_UNSET: _away(),
        faults.PKCS11_MODULE: _away(look=(*_LOOK, "ldd MODULE", "ls -ln MODULE")),
        faults.PKCS11_MODULE_CRASHED: _away(
            "See what changed: the library, its own configuration, our image's libc"
        ),
        faults.PKCS11_TOKEN: _away(look=(*_LOOK, "pkcs11-tool --module MODULE --list-token-slots")),
        faults.PKCS11_PIN: _away(
            _NO_TRIES,
            (
                "If nobody changed the PIN, see who else writes that file, and how many tries are left, "
                "with the vendor's tool"
            ),
            "A file that is written anew is read at once, also with the same content",
            look=_PIN,
        ),
        faults.PKCS11_PIN_LOCKED: _away(
            _NO_TRIES,
            (
                "Some devices wipe themselves at the last try: read the vendor's page on it before the SO "
                "PIN is used"
            ),
            look=_PIN,
        ),
        faults.PKCS11_PIN_LOW: Advice(look=_PIN, do=(_NO_TRIES,)),
        faults.PKCS11_NO_GCM: Advice(effect=ITS_CALLS),
        faults.PKCS11_NO_OAEP: Advice(effect=NEXT_START, do=(_MEANWHILE,)),
        faults.SLOT_HSM_AWAY: Advice(effect=NEXT_START, look=(*_LOOK, "kleidi slot list"), do=(_MEANWHILE,)),
        faults.SLOT_HSM_KEY: Advice(
            effect=NEXT_START,
            look=(*_LOOK, "kleidi slot list"),
            do=(
                _MEANWHILE,
                "If the key pair is lost: with the volume open `kleidi slot renew hsm` makes the slot anew",
            ),
        ),
        faults.PKCS11_AWAY: _away(
            (
                "A device that is lost takes with it what was encrypted with its keys: bring up the second "
                "one, or the vendor's backup"
            ),
            "Restart no API server meanwhile: they go on with what is in their memory, which a restart loses",
        ),
        faults.PKCS11_KEY_GONE: Advice(
            look=_OBJECTS,
            do=(
                (
                    "`kleidi audit tail` tells whether a node of ours destroyed it; then no volume brings "
                    "it back"
                ),
                (
                    "Writes can go on with another key: `kleidi key stage --engine softhsm`, then `kleidi "
                    "key promote`"
                ),
            ),
        ),
        faults.PKCS11_DENIED: _away(),
        faults.PKCS11_KEY_LOOSE: Advice(look=_OBJECTS),
        faults.PKCS11_STRAY: Advice(
            look=_OBJECTS,
            wake=Wake.NEVER,
            do=(
                (
                    "Remove nothing while another node stages or joins: its new key looks the same until it "
                    "is carried here"
                ),
            ),
        ),
        faults.PKCS11_READ_ONLY: Advice(wake=Wake.NEVER),
    },
)
