"""What RKE2 and k3s tell their API server: in configuration files, by the unit's words, and of their own."""

from collections.abc import Iterator

from appliance.install.document import Json
from appliance.install.mentions import reading, units
from appliance.install.mentions.mention import OPTION, Mention, Mount, values
from appliance.install.rooted import Rooted

# By name: the service, and whether Secrets are only encrypted when it is told to (rke2, pkg/rke2/rke2.go).
_KNOWN = {"rke2": ("rke2-server", False), "k3s": ("k3s", True)}


def mentions(node: Rooted) -> Iterator[Mention]:
    """An argument that names a file takes the place of the distribution's own (k3s, pkg/util/args.go)."""
    for name, (service, asked) in _KNOWN.items():
        said = [*_files(node, f"/etc/rancher/{name}"), *units.words(node, service)]
        together = [word for _, words in said for word in words]
        mounts = tuple(_mounts(together))
        named = [
            Mention(path, value, mounts)
            for path, words in said
            for value in values(_arguments(words), OPTION)
        ]
        yield from named or _own(node, name, said, asked=asked)


def _files(node: Rooted, directory: str) -> Iterator[tuple[str, list[str]]]:
    """Each file's keys as the options that they stand for; `+` behind a key only adds to other files."""
    drop_ins = [path for path in node.names(f"{directory}/config.yaml.d") if path.endswith((".yaml", ".yml"))]
    for path in (f"{directory}/config.yaml", *drop_ins):
        yield path, list(_options(reading.mapping(node, path) or {}))


def _options(configuration: Json) -> Iterator[str]:
    for key, value in configuration.items():
        for each in value if isinstance(value, list) else [value]:
            yield f"--{str(key).rstrip('+')}={each}"


def _arguments(words: list[str]) -> Iterator[str]:
    """The API server's own options."""
    for argument in values(words, "kube-apiserver-arg"):
        yield f"--{argument.lstrip('-')}"


def _mounts(words: list[str]) -> Iterator[Mount]:
    for mount in values(words, "kube-apiserver-extra-mount"):
        outside, _, rest = mount.partition(":")
        yield Mount(rest.partition(":")[0] or outside, outside)


def _own(node: Rooted, name: str, said: list[tuple[str, list[str]]], *, asked: bool) -> Iterator[Mention]:
    """The file with a key of its own, which it makes when it starts."""
    words = [word for _, words in said for word in words]
    [directory] = [f"/var/lib/rancher/{name}", *values(words, "data-dir")][-1:]
    path = f"{directory}/server/cred/encryption-config.json"
    if node.at(node.real(path)).exists():
        yield Mention(path, path)
        return
    for by, words in said:
        if asked and "true" in _switches(words):
            yield Mention(by, path, made_later=True)


def _switches(words: list[str]) -> Iterator[str]:
    """`--secrets-encryption` with or without a value: one that follows in a word of its own is not its."""
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--secrets-encryption":
            yield value.lower() if equals else "true"
