"""The resource that an etcd key belongs to, named as an EncryptionConfiguration names it. Pure and total."""

# Prefixes that are not the resource's name (kubernetes,
# pkg/kubeapiserver/default_storage_factory_builder.go: SpecialDefaultResourcePrefixes).
_SPECIAL = {
    b"minions": "nodes",
    b"controllers": "replicationcontrollers",
    b"ingress": "ingresses",
    b"services/specs": "services",
    b"services/endpoints": "endpoints",
}
ELSEWHERE = "(elsewhere)"


def directory(prefix: str) -> bytes:
    """*prefix* as the API server joins it to its keys: `/registry` has nothing to do with `/registry2`."""
    return prefix.rstrip("/").encode() + b"/"


def resource(key: bytes, under: bytes) -> str:
    """`secrets` of /registry/secrets/ns/name, `widgets.example.com` of /registry/example.com/widgets/…."""
    if not key.startswith(under):
        return ELSEWHERE
    first, _, rest = key[len(under) :].partition(b"/")
    second = rest.partition(b"/")[0]
    special = _SPECIAL.get(first) or _SPECIAL.get(first + b"/" + second)
    if special:
        return special
    # Only the groups of custom and aggregated resources are part of the key, and those have a dot.
    name = second + b"." + first if b"." in first and second else first
    return name.decode(errors="backslashreplace") or ELSEWHERE
