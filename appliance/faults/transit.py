"""What can go wrong with keys that a Transit server keeps (HashiCorp Vault, OpenBao)."""

from appliance.faults.fault import Exit, Kind, fault

_D, _A, _X, _R = Kind.DEGRADED, Kind.WARNING, Kind.WRONG, Kind.REFUSED
_W = Kind.WAITING

# A table reads better with a fault in three lines.
# fmt: off
# Heals by itself once the server does
TRANSIT_UNSET = fault("E-TRANSIT-UNSET", _D, Exit.UNREACHABLE,
    "a key is in Transit, and this node is not told where that is",
    "Set KLEIDI_TRANSIT_ADDRESSES, and what it takes to log in, as on the node that staged the key")
TRANSIT_AWAY = fault("E-TRANSIT-AWAY", _D, Exit.UNREACHABLE,
    "no Transit server of KLEIDI_TRANSIT_ADDRESSES answers as one should",
    "Look whether they run and this node reaches them; it goes on by itself")
TRANSIT_SEALED = fault("E-TRANSIT-SEALED", _D, Exit.SEALED,
    "the Transit server is sealed or not initialised",
    "Unseal it; it goes on by itself")
TRANSIT_BUSY = fault("E-TRANSIT-BUSY", _D, Exit.BUSY,
    "the Transit server refuses calls because a rate limit quota is used up",
    "Raise the quota on the Transit mount, or give this node's role one of its own")
TRANSIT_TLS = fault("E-TRANSIT-TLS", _D, Exit.WRONG_KEY,
    "the Transit server's certificate is not one that this node trusts, so nothing was sent to it",
    "Check KLEIDI_TRANSIT_CA_FILE and KLEIDI_TRANSIT_SERVER_NAME, and that the certificate has not expired")
TRANSIT_LOGIN = fault("E-TRANSIT-LOGIN", _D, Exit.WRONG_KEY,
    "the Transit server does not let this node log in",
    "Check the auth mount, the role and the files of KLEIDI_TRANSIT_AUTH; a new secret is read by itself")
TRANSIT_SECRET = fault("E-TRANSIT-SECRET", _D, Exit.WRONG_KEY,
    "a file with which this node logs in to Transit cannot be used",
    "Make it a regular file that others cannot read and the appliance can; it is read again by itself")
TRANSIT_DENIED = fault("E-TRANSIT-DENIED", _D, Exit.REFUSED,
    "the Transit server denies this node what it needs, also after a new login",
    "Give its role the policy that `kleidi transit policy` prints")
TRANSIT_PLACE = fault("E-TRANSIT-PLACE", _D, Exit.REFUSED,
    "there is no such mount or namespace at the Transit server",
    "Check KLEIDI_TRANSIT_MOUNT and KLEIDI_TRANSIT_NAMESPACE, or enable the mount again")
TRANSIT_ANSWER = fault("E-TRANSIT-ANSWER", _D, Exit.ERROR,
    "what answers at the Transit address does not answer as Transit does, so nothing of it was used",
    "Look what listens there: a proxy, a login page, or a Vault before 1.13, which ignores associated data")

# The key itself
TRANSIT_KEY_GONE = fault("E-TRANSIT-KEY-GONE", _X, Exit.REFUSED,
    "the Transit key does not exist",
    "Restore it at the server; a new key of the same name opens nothing of the old one")
TRANSIT_KEY_OFF = fault("E-TRANSIT-KEY-OFF", _X, Exit.REFUSED,
    "the server will not use this version of the Transit key: deleted, trimmed, or below a minimum version",
    "Lower min_decryption_version and min_encryption_version at the server, or restore the key")
TRANSIT_KEY_OTHER = fault("E-TRANSIT-KEY-OTHER", _X, Exit.INTEGRITY,
    "there is another key under the name and version of this Transit key",
    "Restore the key that was there at the server; one that was made anew opens nothing of the old one")
TRANSIT_KEY_UNFIT = fault("E-TRANSIT-KEY-UNFIT", _R, Exit.REFUSED,
    "the Transit key is not of the kind that keeps a secret",
    "Make one of type aes256-gcm96: not derived, convergent, exportable or with plaintext backup")
TRANSIT_ROTATE_FIRST = fault("E-TRANSIT-ROTATE-FIRST", _R, Exit.REFUSED,
    "every version of the Transit key is taken up already",
    "Rotate the key at the server first: `kleidi transit rotate --token-file FILE`")

# A slot's key that the server keeps
SLOT_TRANSIT_AWAY = fault("E-SLOT-TRANSIT-AWAY", _W, Exit.SEALED,
    "the Transit server that keeps a slot's key cannot be asked for it now",
    "See what `kleidi transit check` says; it is asked again by itself, and `kleidi unseal` opens without it")

# Works, but somebody should look
TRANSIT_NEWER = fault("E-TRANSIT-NEWER", _A, Exit.DEGRADED,
    "the Transit key has a newer version than this node has taken up",
    "Run `kleidi key stage` and `kleidi key promote`, or leave it: the version in use does not change")
TRANSIT_MINIMUM = fault("E-TRANSIT-MINIMUM", _A, Exit.DEGRADED,
    "a minimum version at the server excludes a key that may still have to decrypt",
    "Lower min_decryption_version and min_encryption_version at the server until the key is destroyed here")
TRANSIT_DELETABLE = fault("E-TRANSIT-DELETABLE", _A, Exit.DEGRADED,
    "the Transit key may be deleted at the server, and everything that it encrypted with it",
    "Set deletion_allowed=false at the server")
TRANSIT_AUTO_ROTATE = fault("E-TRANSIT-AUTO-ROTATE", _A, Exit.DEGRADED,
    "the server rotates the Transit key by itself, which changes nothing here until somebody promotes",
    "Set auto_rotate_period=0 at the server, or stage and promote each new version")
TRANSIT_RESTORED = fault("E-TRANSIT-RESTORED", _A, Exit.DEGRADED,
    "the Transit key was restored from a backup, which may have forgotten newer versions",
    "Check with `kleidi transit check` that every key still opens, then rotate it at the server")
TRANSIT_IMPORTED = fault("E-TRANSIT-IMPORTED", _A, Exit.DEGRADED,
    "the Transit key was imported, so a copy of it may be elsewhere",
    "Rotate it at the server and promote the new version, if the copy is not meant")
TRANSIT_RIGHTS = fault("E-TRANSIT-RIGHTS", _A, Exit.DEGRADED,
    "the node's token may do more at the Transit server than it needs",
    "Give its role the policy that `kleidi transit policy` prints, and no other")
TRANSIT_INSIDE = fault("E-TRANSIT-INSIDE", _A, Exit.DEGRADED,
    "the Transit server's address is one of this cluster's own services",
    "Run it outside of the cluster whose Secrets it protects: after an outage neither would come up")
TRANSIT_UPSERT = fault("E-TRANSIT-UPSERT", _A, Exit.DEGRADED,
    "the mount makes a key that is missing without being asked, for a token that may create",
    "Set disable_upsert=true at the mount's config/keys, or check that no policy has create on encrypt")
# fmt: on
