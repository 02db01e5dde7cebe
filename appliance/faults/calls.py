"""What callers get wrong, and what we do."""

from appliance.faults.fault import Exit, Kind, fault

_M = Kind.MALFORMED

# A table reads better with a fault in three lines.
# fmt: off
REQUEST_INVALID = fault("E-REQUEST-INVALID", _M, Exit.ERROR,
    "the request is not the message that KMS v2 defines",
    "Check which client connects to this socket")
REQUEST_UNFINISHED = fault("E-REQUEST-UNFINISHED", _M, Exit.ERROR,
    "the request did not arrive in full while many others came",
    "Check which client connects to this socket")
PLAINTEXT_SIZE = fault("E-PLAINTEXT-SIZE", _M, Exit.ERROR,
    "the plaintext must be 1 to 995 bytes",
    "The API server sends 32")
ENVELOPE_INVALID = fault("E-ENVELOPE-INVALID", _M, Exit.ERROR,
    "the ciphertext is not an envelope of ours",
    "Check that this provider name was never used by another plugin")
KEY_ID_INVALID = fault("E-KEY-ID-INVALID", _M, Exit.ERROR,
    "the key id is empty, too long or not ASCII",
    "Send the key id that came with the ciphertext")
ANNOTATIONS = fault("E-ANNOTATIONS", _M, Exit.ERROR,
    "our ciphertexts carry no annotations, this one does",
    "Check that this provider name was never used by another plugin")
KEY_UNKNOWN = fault("E-KEY-UNKNOWN", Kind.UNKNOWN_KEY, Exit.ERROR,
    "this token never held the named key",
    "Check that the right volume is mounted, or bring the key from the node or backup that has it")
CIPHERTEXT_TAMPERED = fault("E-CIPHERTEXT-TAMPERED", Kind.TAMPERED, Exit.ERROR,
    "the ciphertext fails its authentication",
    "Restore the object from an etcd backup")
KEY_DISABLED = fault("E-KEY-DISABLED", Kind.KEY_OFF, Exit.ERROR,
    "the named key was disabled by an operator",
    "Enable it again if its data is still needed")
KEY_DESTROYED = fault("E-KEY-DESTROYED", Kind.KEY_OFF, Exit.ERROR,
    "the named key was destroyed by an operator",
    "Its data can only come from a backup of the key")
ANNOTATIONS_FOREIGN = fault("E-ANNOTATIONS-FOREIGN", _M, Exit.ERROR,
    "an adopted key's ciphertext carries exactly the one annotation of the plugin that made it",
    "Check that the object was stored by that plugin")
CALLER_GONE = fault("E-CALLER-GONE", Kind.GONE, Exit.ERROR,
    "the caller's deadline passed before its turn came",
    "Look at the load on this node")
QUEUE_FULL = fault("E-QUEUE-FULL", Kind.OVERLOAD, Exit.BUSY,
    "too many calls wait for the token",
    "Look which client floods the socket")
INTERNAL = fault("E-INTERNAL", Kind.BUG, Exit.ERROR,
    "a mistake of ours",
    "Report it with its traceback, from the log or with KLEIDI_LOG_LEVEL=debug")
OUTPUT = fault("E-OUTPUT", Kind.REFUSED, Exit.ERROR,
    "the command's output could not be written to its end",
    "Make room where it goes, and see with `kleidi status` what is done before it is run again")
# fmt: on
