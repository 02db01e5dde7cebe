"""What can keep the server from serving: memory, the token, the sockets."""

from appliance.faults.fault import Exit, Kind, fault

_W, _D, _A, _X, _R = Kind.WAITING, Kind.DEGRADED, Kind.WARNING, Kind.WRONG, Kind.REFUSED

# A table reads better with a fault in three lines.
# fmt: off
# Memory and the token
MEMORY_UNSAFE = fault("E-MEMORY-UNSAFE", _W, Exit.REFUSED,
    "the directory for the open token is not in memory",
    "Point KLEIDI_MEMORY_DIR at a tmpfs")
MEMORY_SHARED = fault("E-MEMORY-SHARED", _W, Exit.REFUSED,
    "the directory for the open token is not this user's alone",
    "Look who made what the line names; then remove it, or point KLEIDI_MEMORY_DIR elsewhere in memory")
MEMORY_FULL = fault("E-MEMORY-FULL", _W, Exit.REFUSED,
    "the directory for the open token is full or cannot be written",
    "Give the tmpfs of KLEIDI_MEMORY_DIR a few MiB, writable by the appliance")
MODULE_MISSING = fault("E-MODULE-MISSING", _W, Exit.ERROR,
    "libsofthsm2 is not there, and nothing opens until it is",
    "Install libsofthsm2, or set KLEIDI_SOFTHSM_MODULE; it is found without a restart")
MODULE_UNUSABLE = fault("E-MODULE-UNUSABLE", _W, Exit.ERROR,
    "the SoftHSM module cannot be loaded here, and nothing opens until another one is in its place",
    "Check that KLEIDI_SOFTHSM_MODULE names a whole libsofthsm2.so, built for this machine and its libc")
TRANSPORT_MISSING = fault("E-TRANSPORT-MISSING", Kind.CONFIGURATION, Exit.USAGE,
    "libnghttp2, which carries the calls, cannot be loaded",
    "Install libnghttp2-14, or set KLEIDI_TRANSPORT=grpcio")
TRANSPORT_OLD = fault("E-TRANSPORT-OLD", Kind.CONFIGURATION, Exit.USAGE,
    "libnghttp2 is older than the one that can refuse to be flooded",
    "Upgrade libnghttp2-14, or set KLEIDI_TRANSPORT=grpcio")
TOKEN_LOST = fault("E-TOKEN-LOST", _W, Exit.ERROR,
    "the token went away and is being opened again",
    "Wait a few seconds")
TOKEN_SLOW = fault("E-TOKEN-SLOW", _W, Exit.ERROR,
    "the token did not answer in time",
    "Look at the load on this node")
PROBE_STALE = fault("E-PROBE-STALE", _W, Exit.ERROR,
    "the token has not proved itself recently",
    "Look at the load on this node; restart the appliance if it lasts")
STARTING = fault("E-STARTING", _W, Exit.ERROR,
    "the token is being opened",
    "Wait a few seconds")
TRIAL_FAILED = fault("E-TRIAL-FAILED", _W, Exit.ERROR,
    "a token just made did not pass its trial, so nothing was committed",
    "Try again; if it lasts, the SoftHSM module does not work here")
PRIMARY_WRONG = fault("E-PRIMARY-WRONG", _X, Exit.INTEGRITY,
    "the primary key does not give its known answer",
    "Restore the volume from a backup")
KEY_UNREADABLE = fault("E-KEY-UNREADABLE", _D, Exit.DEGRADED,
    "an older key does not give its known answer; what it encrypted cannot be read",
    "Restore the volume from a backup")
ENGINE_UNKNOWN = fault("E-ENGINE-UNKNOWN", _W, Exit.ERROR,
    "a key's engine is not one that this version has",
    "Run the version that made the key, or a later one")
ENGINE_SLOW = fault("E-ENGINE-SLOW", _D, Exit.DEGRADED,
    "an engine does not answer, not even whether it is there",
    "Look at what the line names; the keys of other engines are served")
ENGINE_SHUT = fault("E-ENGINE-SHUT", _D, Exit.DEGRADED,
    "an engine does not open that is not the primary key's; what its keys encrypted cannot be read",
    "Mend what the line names; it is tried again by itself")
KEY_ENCRYPTS_NOT = fault("E-KEY-ENCRYPTS-NOT", _D, Exit.DEGRADED,
    "the primary key's engine decrypts with it and does not let it encrypt",
    "Allow it there again, or promote another key")
KEY_SWITCHED_OFF = fault("E-KEY-SWITCHED-OFF", _D, Exit.DEGRADED,
    "the engine of an older key does not let it decrypt; what it encrypted cannot be read",
    "Allow it there again; if nothing needs it any more, disable it here")

# The sockets
SOCKET_IN_USE = fault("E-SOCKET-IN-USE", _W, Exit.BUSY,
    "another instance serves this socket",
    "Stop the other instance, or give this one a KLEIDI_SOCKET of its own")
SOCKET_DIRECTORY = fault("E-SOCKET-DIRECTORY", _A, Exit.REFUSED,
    "the socket's directory is missing or cannot be written",
    "Create it, owned by the user that runs the appliance")
SOCKET_OWNER = fault("E-SOCKET-OWNER", _A, Exit.REFUSED,
    "something that is not ours is where a socket of ours or its lock file must be",
    "Run `kleidi install` with the --user that runs the appliance; remove it if nothing serves there")
SOCKET_GROUP = fault("E-SOCKET-GROUP", _A, Exit.REFUSED,
    "the appliance is not in the group that KLEIDI_SOCKET_GROUP names, so it cannot give it the socket",
    "Add the group to the pod's supplementalGroups: `kleidi install --socket-group` does")
SOCKET_TAKEN = fault("E-SOCKET-TAKEN", _A, Exit.DEGRADED,
    "another program bound our socket's path; new connections go to it",
    "Stop that program")
HTTP_ADDRESS = fault("E-HTTP-ADDRESS", _A, Exit.DEGRADED,
    "nobody can ask us at the address of KLEIDI_HTTP, which is taken or not this machine's",
    "Stop what listens there, or set another port; it is tried again every two seconds")
SERVER_UNREACHABLE = fault("E-SERVER-UNREACHABLE", _W, Exit.UNREACHABLE,
    "the server does not answer on the admin socket",
    "Start it with `kleidi serve`, or look why it is not up")
SERVER_MUTE = fault("E-SERVER-MUTE", _W, Exit.UNREACHABLE,
    "the server is there, but does not answer",
    "Look whether its process or cgroup is stopped or frozen, and at the node's load; start no second one")
SERVER_ELSEWHERE = fault("E-SERVER-ELSEWHERE", _W, Exit.UNREACHABLE,
    "something serves this volume, but not on this admin socket",
    "Set KLEIDI_ADMIN_SOCKET as that process has it; if a command works on the volume, wait for its end")
SERVER_DENIED = fault("E-SERVER-DENIED", _R, Exit.REFUSED,
    "this needs root, or the user that runs the appliance",
    "Run it with sudo; nothing is known of the server or its volume without")
SERVER_CUT_OFF = fault("E-SERVER-CUT-OFF", _W, Exit.UNREACHABLE,
    "the server took the command, but went away or fell silent before it answered",
    "Look with `kleidi key list` and `kleidi audit tail` whether it was done, before running it again")
# fmt: on
