"""The least that a node needs at the server, as a policy; each line was tried without the others."""

from appliance.transit.access import Access

_POLICY = """\
# Policy of a kleidi node for the Transit key {mount}/{key}. Never give it "create" on encrypt: a key that is
# missing would be made anew in silence.
path "{mount}/encrypt/{key}" {{ capabilities = ["update"] }}
path "{mount}/decrypt/{key}" {{ capabilities = ["update"] }}
path "{mount}/keys/{key}" {{ capabilities = ["read"] }}
path "{mount}/hmac/{key}/sha2-256" {{ capabilities = ["update"] }}

# Harder, in place of the first line: nothing is encrypted that is not bound, nor under a version not named.
# path "{mount}/encrypt/{key}" {{
#   capabilities        = ["update"]
#   required_parameters = ["associated_data", "key_version"]
# }}

# To rotate is an operator's right, with a token of their own, never the node's:
# path "{mount}/keys/{key}/rotate" {{ capabilities = ["update"] }}
"""


def policy(access: Access) -> str:
    """In HCL, as `bao policy write` and `vault policy write` take it."""
    return _POLICY.format(mount=access.mount, key=access.key)


def needed(access: Access) -> dict[str, frozenset[str]]:
    """The same by path: the capabilities without which something fails."""
    mount, key = access.mount, access.key
    return {
        f"{mount}/encrypt/{key}": frozenset({"update"}),
        f"{mount}/decrypt/{key}": frozenset({"update"}),
        f"{mount}/keys/{key}": frozenset({"read"}),
        f"{mount}/hmac/{key}/sha2-256": frozenset({"update"}),
    }
