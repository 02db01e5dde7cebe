"""The TPM that keeps a slot's key: where to look and what to do."""

from appliance import faults
from appliance.faults import tpm
from appliance.runbook.effects import NEXT_START
from appliance.runbook.entry import Advice, Room

_RELAY = ("kleidi tpm show", "systemctl status kleidi-tpm.socket", "ls -l /dev/tpmrm0")
_MEANWHILE = "Meanwhile open with another slot: `kleidi unseal --passphrase` or `kleidi unseal --identity -`"

ROOM = Room(
    "The TPM",
    tpm,
    ("kleidi tpm show", "kleidi slot list"),
    {
        faults.TPM_MISSING: Advice(
            effect=NEXT_START,
            look=(*_RELAY, "journalctl -u 'kleidi-tpm@*'"),
            do=(
                _MEANWHILE,
                (
                    "With the relay: `systemctl restart kleidi-tpm.socket`; an upgrade by `kleidi install` "
                    "keeps it"
                ),
                "No /dev/tpmrm0 on the node: switch the TPM on in the firmware",
            ),
        ),
        faults.TPM_FORBIDDEN: Advice(
            effect=NEXT_START, look=(*_RELAY, "stat -c %g /dev/tpmrm0"), do=(_MEANWHILE,)
        ),
        faults.TPM_OTHER: Advice(
            effect=NEXT_START,
            look=("kleidi tpm show", "kleidi slot list", "kleidi audit tail"),
            do=(
                (
                    "If nobody moved the disk, cloned the machine or cleared the TPM: find out who did, "
                    "before anything is renewed"
                ),
            ),
        ),
        faults.TPM_PCR: Advice(
            effect=NEXT_START,
            look=("kleidi tpm show", "fwupdmgr get-history", "mokutil --sb-state"),
            do=(
                (
                    "If nobody changed firmware or boot keys, the machine may have been tampered with: "
                    "renew nothing, take it out of the cluster and look at how it starts"
                ),
                "Ahead of the next update: have a second slot that is tested (`kleidi slot test`)",
            ),
        ),
        faults.TPM_LOCKED: Advice(
            effect=NEXT_START,
            do=(_MEANWHILE, "None of our commands counts as a guess: look who else uses this TPM"),
        ),
        faults.TPM_BUSY: Advice(
            effect=NEXT_START, look=(*_RELAY, "fuser -v /dev/tpm0 /dev/tpmrm0"), do=(_MEANWHILE,)
        ),
        faults.TPM_ANSWER: Advice(effect=NEXT_START, look=_RELAY, do=(_MEANWHILE,)),
    },
)
