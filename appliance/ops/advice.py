"""What remains to be done in the cluster after a change: only its operators can do it."""

from appliance.keys.engine import SOFTHSM
from appliance.ops.operations import Verb

_PROMOTED = (
    "",
    "What remains to be done:",
    "  1. wait two minutes: the API server asks for the key id once a minute",
    "  2. rewrite what is stored: kubectl get secrets --all-namespaces -o json | kubectl replace -f -",
    "     (and every other resource in the EncryptionConfiguration)",
    "  3. count what is left under older keys: kleidi usage --endpoints …",
    "  4. for each older key: kleidi key check …",
)
_AFTER = {
    Verb.PROMOTE: _PROMOTED,
    Verb.ROTATE: _PROMOTED,
    Verb.STAGE: (
        "",
        "One node: kleidi key promote {name}",
        "Several: kleidi node export to each of the others, kleidi node join there; then on every node",
        "  kleidi key promote {name} --expect-keyset and the key set above, which all of them show",
    ),
    Verb.DISABLE: ("", "If anything misses it: kleidi key enable {name}"),
    Verb.ACCEPT: (
        "",
        "What was encrypted under a lost key cannot be read: count it with kleidi usage, and bring those",
        "objects back from where they came. If the key turns up after all: kleidi node join",
    ),
}
_DESTROYED = {
    SOFTHSM: ("", "Copies of it remain in older backups and perhaps on the disk itself."),
    "transit": (
        "",
        "Its version stays at the Transit server, where other nodes may need it. Once none needs it nor any",
        "below, with N the first version that is still needed (this is not to be undone):",
        "  bao write transit/keys/KEY/config min_decryption_version=N min_encryption_version=N",
        "  bao write transit/keys/KEY/trim min_available_version=N",
    ),
    "pkcs11": (
        "",
        "The device loses it within two minutes of serving; what its vendor backs up may hold it still.",
    ),
}


def after(verb: Verb, name: str, engine: str = SOFTHSM) -> list[str]:
    """Lines for people; *name* is the key the verb was about, and *engine* what holds it."""
    lines = _DESTROYED.get(engine, ()) if verb is Verb.DESTROY else _AFTER.get(verb, ())
    return [line.replace("{name}", name) for line in lines]
