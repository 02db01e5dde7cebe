"""Memory, the token, the server and its sockets: where to look and what to do."""

from appliance import faults
from appliance.faults import serving
from appliance.runbook.effects import NOBODY, NOTHING
from appliance.runbook.entry import Advice, Room, Wake
from appliance.runbook.seal import KEEP

_MEMORY = ("kleidi status", "df -h /dev/shm", "ls -lan /dev/shm")
_LOAD = ("kleidi status", "uptime", "cat /proc/pressure/cpu")
_SOCKET = ("kleidi status", "ls -lan /run/kleidi", "ss -xlp src /run/kleidi/kms.sock")
_CONTAINER = ("kleidi status", "crictl ps -a --name kleidi", "crictl logs --tail 50 CONTAINER")
_ENGINES = ("kleidi status", "kleidi transit check", "kleidi hsm check")
_UNREACHED = (
    "a connection that is open goes on; a new one reaches nobody. An API server that dials again, or "
    "starts, is as one without us: its `/readyz` fails, and after three minutes its writes of encrypted "
    "resources"
)
_WHEN_NONE = "at once when nothing is served"
_RESTORE = (
    KEEP,
    (
        "With other nodes: empty the volume and let this one join; else `kleidi backup restore` into an "
        "empty one"
    ),
)

ROOM = Room(
    "The server: memory, token, sockets",
    serving,
    ("kleidi status",),
    {
        faults.MEMORY_UNSAFE: Advice(look=("kleidi status", "findmnt -T /dev/shm")),
        faults.MEMORY_SHARED: Advice(
            look=_MEMORY, do=("If nobody of yours made it, look who is on this node",)
        ),
        faults.MEMORY_FULL: Advice(
            felt="nothing while a key is open: the change was refused. At a start no call is answered",
            look=_MEMORY,
            when=_WHEN_NONE,
            wake=Wake.TODAY,
        ),
        faults.MODULE_MISSING: Advice(
            look=_CONTAINER, do=("In our image it is always there: see which image runs",)
        ),
        faults.MODULE_UNUSABLE: Advice(look=("kleidi version -o json", *_CONTAINER)),
        faults.TRANSPORT_MISSING: Advice(effect=NOBODY, look=_CONTAINER),
        faults.TRANSPORT_OLD: Advice(effect=NOBODY, look=_CONTAINER),
        faults.TOKEN_LOST: Advice(
            do=("If it comes back again and again: `kleidi backup create`, then the node's log",)
        ),
        faults.TOKEN_SLOW: Advice(
            felt="that call fails with UNAVAILABLE, the read behind it with 500. Status is as before",
            look=_LOAD,
            wake=Wake.TODAY,
            when="when they go on",
        ),
        faults.PROBE_STALE: Advice(look=_LOAD),
        faults.STARTING: Advice(
            look=("kleidi status --wait 30",),
            do=("If it lasts, the log says what it waits for: a slot's server or device, a lock, memory",),
        ),
        faults.TRIAL_FAILED: Advice(
            felt=(
                "nothing while a key is open: the change was refused. At a first boot no key is made, and "
                "no call is answered"
            ),
            look=("kleidi status", "kleidi version -o json"),
            wake=Wake.TODAY,
            when=_WHEN_NONE,
        ),
        faults.PRIMARY_WRONG: Advice(
            look=("kleidi status", "kleidi key list", "dmesg --level err"),
            do=(
                "Before that restart once: an error in memory goes away, one on the volume does not",
                *_RESTORE,
                "Test the node's memory before it serves again",
            ),
        ),
        faults.KEY_UNREADABLE: Advice(
            look=("kleidi key list", "kleidi usage"),
            wake=Wake.NOW,
            do=("Count with `kleidi usage` whether anything still needs it", *_RESTORE),
        ),
        faults.ENGINE_UNKNOWN: Advice(look=("kleidi version", "kleidi key list")),
        faults.ENGINE_SLOW: Advice(
            look=_ENGINES,
            do=(
                (
                    "When calls hang in a device's library only a restart ends them; the API server hardly "
                    "notices one"
                ),
            ),
        ),
        faults.ENGINE_SHUT: Advice(look=_ENGINES),
        faults.KEY_ENCRYPTS_NOT: Advice(
            look=_ENGINES,
            do=(
                (
                    "To go on without that engine: `kleidi key stage --engine softhsm`, then `kleidi key "
                    "promote`"
                ),
            ),
        ),
        faults.KEY_SWITCHED_OFF: Advice(look=("kleidi key list", "kleidi usage", "kleidi transit check")),
        faults.SOCKET_IN_USE: Advice(
            felt="nothing: the other instance answers",
            look=(*_SOCKET, "crictl ps --name kleidi"),
            wake=Wake.TODAY,
        ),
        faults.SOCKET_DIRECTORY: Advice(
            felt=_UNREACHED,
            look=(*_SOCKET, "systemd-tmpfiles --cat-config"),
            wake=Wake.NOW,
            do=(
                "`systemd-tmpfiles --create` makes it as the installer wrote it down",
                "The pod mounts the directory: when it was made anew, start the pod anew (`crictl stop`)",
            ),
        ),
        faults.SOCKET_OWNER: Advice(felt=_UNREACHED, look=_SOCKET, wake=Wake.NOW),
        faults.SOCKET_GROUP: Advice(
            felt=_UNREACHED,
            look=(*_SOCKET, "stat -c %g /run/kleidi"),
            wake=Wake.NOW,
        ),
        faults.SOCKET_TAKEN: Advice(
            felt=(
                "an API server that dials anew talks to that program, not to us; one that is connected goes "
                "on"
            ),
            look=_SOCKET,
            wake=Wake.NOW,
            do=(
                (
                    "`ss -xlp src /run/kleidi/kms.sock` names it; if it is not yours, take it for an "
                    "attack: it is sent every seed of the API server in the clear"
                ),
                "We bind the path again by ourselves once it is free",
                "`kleidi usage` shows what was encrypted meanwhile under a key that is not ours",
            ),
        ),
        faults.SERVER_UNREACHABLE: Advice(
            effect=NOBODY,
            when="when the API server on this node uses us",
            look=_CONTAINER,
            do=("Exit code 2 of the container is configuration: its log names the setting",),
        ),
        faults.SERVER_MUTE: Advice(
            felt=(
                "calls hang until the API server's own timeout, then it is as without us: `/readyz` fails, "
                "and after three minutes its writes of encrypted resources"
            ),
            look=("kleidi status", "ps -o pid,stat,wchan:20,cmd -C python3", *_LOAD[1:]),
            do=(
                (
                    "A stopped process goes on with `kill -CONT`; else `crictl stop`, and the kubelet "
                    "starts it anew"
                ),
            ),
        ),
        faults.SERVER_ELSEWHERE: Advice(effect=NOTHING, look=("kleidi status", "crictl ps --name kleidi")),
        faults.SERVER_DENIED: Advice(look=("sudo kleidi status", "id")),
        faults.SERVER_CUT_OFF: Advice(
            effect=NOTHING,
            look=("kleidi status", "kleidi key list", "kleidi audit tail"),
            wake=Wake.TODAY,
            when="at once when `kleidi status` does not serve",
        ),
    },
)
