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


def joined(prefix: str) -> str:
    """An --etcd-prefix as the API server takes it: `path.Join("/", prefix)` (storage/etcd3/store.go).

    `kubernetes.io`, `//kubernetes.io` and `/kubernetes.io/` are all `/kubernetes.io`.
    """
    parts: list[str] = []
    for part in prefix.split("/"):
        if part == "..":
            del parts[-1:]  # and above the root is the root
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def directory(prefix: str) -> bytes:
    """What all keys under *prefix* begin with: `/registry` has nothing to do with `/registry2`."""
    # An argument that is no UTF-8 keeps its bytes (PEP 383).
    return joined(prefix).rstrip("/").encode(errors="surrogateescape") + b"/"


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
