"""The seal: where to look and what to do; and what is done when a volume cannot be had back."""

from appliance import faults
from appliance.runbook.entry import Advice

REMEMBERED = ("kleidi status", "kleidi anchor show", "ls -ln /var/lib/kleidi /etc/kleidi")
_SLOTS = ("kleidi status", "kleidi slot list", "ls -ln /etc/kleidi")
RESTORE = (
    "With other nodes: empty the volume and let this one join (docs/high-availability.md, 3)",
    (
        "Without other nodes: `kleidi backup restore` of the newest bundle into an empty volume; before it "
        "`kleidi backup verify FILE --usage usage.json` tells whether it holds every key that etcd needs"
    ),
)
KEEP = "Copy the volume aside as it is before anything is moved, and make no new key"
_BY_HAND = "`kleidi unseal` with a passphrase or an identity serves at once, until the next restart"
_SEALED_AGAIN = (
    "What was opened by hand is sealed again at the next restart: have a way in that lasts by then"
)


ADVICE = {
    faults.SEAL_KEY_MISSING: Advice(
        look=_SLOTS,
        do=(
            _SEALED_AGAIN,
            "`kleidi slot add --kind file --key-file /etc/kleidi/seal.key --name new` makes a lasting one",
            "Without the file and without another slot the volume is lost",
            *RESTORE,
        ),
    ),
    faults.SEAL_KEY_INVALID: Advice(
        look=_SLOTS,
        do=(
            _BY_HAND,
            (
                "An empty file with systemd-creds: its unit has not run; see docs/tpm.md, then start "
                "the pod anew"
            ),
        ),
    ),
    faults.SEAL_KEY_UNWRITABLE: Advice(
        look=_SLOTS,
        do=("Only ahead of a first key: a volume that is sealed already needs its old file, not a new one",),
    ),
    faults.SEAL_KEY_WRONG: Advice(
        look=_SLOTS,
        do=(
            _SEALED_AGAIN,
            "Compare the node: a disk, or /etc/kleidi, of another machine looks like this",
            "Without any slot that opens the volume is lost",
            *RESTORE,
        ),
    ),
    faults.SEAL_KEY_USED: Advice(look=REMEMBERED, do=RESTORE),
    faults.SEAL_CORRUPT: Advice(
        look=("kleidi status", "ls -ln /var/lib/kleidi", "dmesg --level err"),
        do=(
            KEEP,
            *RESTORE,
            "Never remove the damaged generation by hand: the one before may lack the primary key",
        ),
    ),
    faults.SEAL_NEWER: Advice(
        look=("kleidi version", "kleidi status", "crictl images"),
        do=("After a roll-back of the image: go forward again; the newer one wrote this volume",),
    ),
}
