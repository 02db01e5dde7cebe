"""What remains to be done in the cluster after a change: only its operators can do it."""

from appliance.ops.operations import Verb

_MIGRATE = "kubectl get secrets --all-namespaces -o json | kubectl replace -f -"


def after(verb: Verb, name: str) -> list[str]:
    """Lines for people; *name* is the key the verb was about."""
    if verb in (Verb.PROMOTE, Verb.ROTATE):
        return [
            "",
            "What remains to be done:",
            "  1. wait two minutes: the API server asks for the key id once a minute",
            f"  2. rewrite what is stored: {_MIGRATE}",
            "     (and every other resource in the EncryptionConfiguration)",
            "  3. count what is left under older keys: kleidi usage --endpoints …",
            "  4. for each older key: kleidi key check …",
        ]
    if verb is Verb.STAGE:
        return [
            "",
            f"One node: kleidi key promote {name}",
            "Several: kleidi node export to each of the others, kleidi node join there; then on every node",
            f"  kleidi key promote {name} --expect-keyset and the key set above, which all of them show",
        ]
    if verb is Verb.DISABLE:
        return ["", f"If anything misses it: kleidi key enable {name}"]
    if verb is Verb.ACCEPT:
        return [
            "",
            "What was encrypted under a lost key cannot be read: count it with kleidi usage, and bring those",
            "objects back from where they came. If the key turns up after all: kleidi node join",
        ]
    if verb is Verb.DESTROY:
        return ["", "Copies of it remain in older backups and perhaps on the disk itself."]
    return []
