"""What keeps a TPM from opening its slot, or from being given one."""

from appliance.faults.fault import Exit, Kind, fault

_W, _X, _R = Kind.WAITING, Kind.WRONG, Kind.REFUSED

# A table reads better with a fault in three lines.
# fmt: off
TPM_MISSING = fault("E-TPM-MISSING", _W, Exit.UNREACHABLE,
    "no TPM answers at KLEIDI_TPM",
    "Give the pod the TPM: KLEIDI_TPM, docs/tpm.md; until then open with another slot")
TPM_FORBIDDEN = fault("E-TPM-FORBIDDEN", _W, Exit.UNREACHABLE,
    "the TPM is there and may not be opened",
    "Where the container may not open devices, use the host's relay or `--device`; where the group is "
    "missing, give the pod supplementalGroups with its number (docs/tpm.md)")
TPM_OTHER = fault("E-TPM-OTHER", _X, Exit.WRONG_KEY,
    "this TPM did not make the slot: it is another machine's, or it was cleared",
    "Open with another slot (`kleidi unseal`), then `kleidi slot remove tpm` and add it anew")
TPM_PCR = fault("E-TPM-PCR", _X, Exit.WRONG_KEY,
    "firmware or boot keys changed since the TPM's slot was made",
    "If you did that: open with another slot (`kleidi unseal`), then `kleidi slot renew tpm`")
TPM_UNMEASURED = fault("E-TPM-UNMEASURED", _R, Exit.REFUSED,
    "this machine does not measure its start into those PCRs, so they would bind the slot to nothing",
    "Add it without --pcrs, or switch on measured boot")
TPM_LOCKED = fault("E-TPM-LOCKED", _W, Exit.BUSY,
    "the TPM is locked after wrong guesses, and its storage key is not exempt",
    "Wait the interval that `kleidi tpm show` has, or clear the lock-out with its password; do not reboot in "
    "a loop")
TPM_OWNED = fault("E-TPM-OWNED", _R, Exit.REFUSED,
    "the TPM's owner does not let a storage key be made, and the host keeps none at 0x81000001",
    "Have the host make the storage key 0x81000001 (systemd 255 and later do), or clear the owner password")
TPM_BUSY = fault("E-TPM-BUSY", _W, Exit.BUSY,
    "the TPM has no room or no time for us",
    "Use /dev/tpmrm0, which shares it; see what else holds it")
TPM_ANSWER = fault("E-TPM-ANSWER", _X, Exit.INTEGRITY,
    "what came as the TPM's answer is none, so nothing of it was used",
    "Something between us and the TPM changes what it says: look what listens at KLEIDI_TPM")
# fmt: on
