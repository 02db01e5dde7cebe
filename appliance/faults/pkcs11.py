"""What can keep an HSM, or any other PKCS#11 token, from serving: its module, its PIN, its keys."""

from appliance.faults.fault import Exit, Kind, fault

_D, _A, _X = Kind.DEGRADED, Kind.WARNING, Kind.WRONG

# A table reads better with a fault in three lines.
# fmt: off
PKCS11_UNSET = fault("E-PKCS11-UNSET", _D, Exit.UNREACHABLE,
    "a PKCS#11 token is asked for, and no module is set to reach it with",
    "Set KLEIDI_PKCS11_MODULE, KLEIDI_PKCS11_TOKEN and KLEIDI_PKCS11_PIN_FILE, and start again")
PKCS11_MODULE = fault("E-PKCS11-MODULE", _D, Exit.ERROR,
    "the PKCS#11 module cannot be used",
    "Mend what the line names; it must be a library for this machine that only root or we can write")
PKCS11_MODULE_CRASHED = fault("E-PKCS11-MODULE-CRASHED", _D, Exit.ERROR,
    "the PKCS#11 module ended the process that tried it, so it is not loaded into this one",
    "Ask its vendor for a build for this system, or reach it through a p11-kit server on the host")
PKCS11_TOKEN = fault("E-PKCS11-TOKEN", _D, Exit.UNREACHABLE,
    "not exactly one token is the one that KLEIDI_PKCS11_TOKEN names",
    "Compare it with those that the line lists; name serial and label; see that the device is connected")
PKCS11_PIN = fault("E-PKCS11-PIN", _D, Exit.WRONG_KEY,
    "the PIN cannot be used, or the token refused it; it is not tried again until its file is written anew",
    "Write the right PIN to KLEIDI_PKCS11_PIN_FILE: one line, a file of ours or root's, with mode 0400")
PKCS11_PIN_LOCKED = fault("E-PKCS11-PIN-LOCKED", _D, Exit.WRONG_KEY,
    "the token's PIN is locked or one wrong try away from it, so none is tried",
    "Set the PIN anew with the vendor's tool, then write it to KLEIDI_PKCS11_PIN_FILE")
PKCS11_PIN_LOW = fault("E-PKCS11-PIN-LOW", _A, Exit.DEGRADED,
    "somebody gave the token a wrong PIN, and it has few tries left",
    "Look who else logs in to this token; a right login with the vendor's tool may set the count back")
PKCS11_NO_GCM = fault("E-PKCS11-NO-GCM", _D, Exit.REFUSED,
    "the token has no AES-GCM or makes no AES keys, so no key of ours can be there",
    "See `kleidi hsm check`; use another token, or another engine")
PKCS11_NO_OAEP = fault("E-PKCS11-NO-OAEP", _D, Exit.REFUSED,
    "the token has no RSA-OAEP that works, or makes no RSA key pair, so no slot of ours can be opened by it",
    "See `kleidi hsm check`; use another token, or another kind of slot")
SLOT_HSM_AWAY = fault("E-SLOT-HSM-AWAY", Kind.WAITING, Exit.SEALED,
    "the hardware module that opens the seal is away; it is asked again by itself",
    "See that the device is connected and the one that KLEIDI_PKCS11_TOKEN names, or open with another slot")
SLOT_HSM_KEY = fault("E-SLOT-HSM-KEY", _D, Exit.WRONG_KEY,
    "the token does not hold the key pair that opens the slot, or holds several that may be meant",
    "Bring the key pair back from the device's own backup; see that it is the right token or partition")
PKCS11_AWAY = fault("E-PKCS11-AWAY", _D, Exit.UNREACHABLE,
    "the token does not answer; it is connected to again by itself",
    "See that the device, its network and its vendor's daemon are up; restart the appliance if calls hang")
PKCS11_KEY_GONE = fault("E-PKCS11-KEY-GONE", _X, Exit.REFUSED,
    "the token answers and does not hold the key",
    "Bring the object back from the device's own backup; see that it is the right token or partition")
PKCS11_DENIED = fault("E-PKCS11-DENIED", _D, Exit.REFUSED,
    "the token answers and refuses what was asked of it",
    "See the line, and the device's policy for this user; `kleidi hsm check` tries all that is needed")
PKCS11_KEY_LOOSE = fault("E-PKCS11-KEY-LOOSE", _A, Exit.DEGRADED,
    "a key in the token may be used or taken out in ways that were not asked for",
    "See the attributes that the line names; make a new key where the device has a stricter policy")
PKCS11_STRAY = fault("E-PKCS11-STRAY", _A, Exit.DEGRADED,
    "the token holds objects of ours that no key id names",
    "Compare with `kleidi key list` of all nodes; remove with the vendor's tool what a failed change left")
PKCS11_READ_ONLY = fault("E-PKCS11-READ-ONLY", _A, Exit.DEGRADED,
    "the token is write-protected: keys can be used, and none can be made or destroyed",
    "Lift the protection ahead of the next rotation")
# fmt: on
