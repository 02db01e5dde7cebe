"""An operator's call in an operator's words: the verb that was typed, on what, by whom, and why."""

from appliance.service.rpc.answers import printable

# By the method's name; {} is the verb that the request carries.
_VERBS = {
    "Report": "status",
    "Change": "key {}",
    "Check": "key check",
    "Adopt": "adopt",
    "Bundle": "backup create",
    "Invite": "node invite",
    "Export": "node export",
    "Join": "node join",
    "Slots": "slot list",
    "ChangeSlot": "slot {}",
    "Unseal": "unseal",
    "Counted": "usage",
}
_ACCEPT = "accept"


def words(method: str, request: object, by: str) -> tuple[str, dict[str, object]]:
    """The verb, and what else a line in the log has to say of it. Nothing of it is a secret."""
    verb = printable(getattr(request, "verb", ""))
    name = "anchor accept" if verb == _ACCEPT else _VERBS.get(method, method).format(verb)
    told = {field: printable(str(getattr(request, field, ""))) for field in ("key", "name", "reason")}
    return name, {**told, "dry_run": getattr(request, "dry_run", False) or "", "by": by}
