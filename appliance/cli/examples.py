"""Two examples of every verb, by its words: for `--help`, the manual and docs/commands.md."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "status": ("kleidi status", "kleidi status --field keyset"),
    "explain": ("kleidi explain E-SEAL-KEY-GONE", "kleidi explain seal-key-gone -o json"),
    "usage": (
        "kleidi usage --cacert ca.crt --cert client.crt --key client.key",
        "etcdctl get /registry --prefix -w json | kleidi usage --from-etcdctl - -o json >usage.json",
    ),
    "hsm check": ("kleidi hsm check", "kleidi hsm check -o json"),
    "tpm show": ("kleidi tpm show", "kleidi tpm show -o json"),
    "version": ("kleidi version", "kleidi version -o json"),
    "audit verify": ("kleidi audit verify", "kleidi audit verify -o json"),
    "audit tail": ("kleidi audit tail", "kleidi audit tail -n 100 -o json"),
    "key list": ("kleidi key list", "kleidi key list -o json"),
    "key stage": ("kleidi key stage --dry-run", "kleidi key stage --reason 'yearly rotation'"),
    "key promote": ("kleidi key promote v2 --dry-run", "kleidi key promote v2 --expect-keyset 1adb-dea6"),
    "key rotate": ("kleidi key rotate --dry-run", "kleidi key rotate --reason 'yearly rotation'"),
    "key retire": ("kleidi key retire v2 --dry-run", "kleidi key retire v2 --reason 'staged by mistake'"),
    "key check": ("kleidi key check v1", "kleidi key check v1 --usage usage.json"),
    "key disable": (
        "kleidi key disable v1 --usage usage.json --dry-run",
        "kleidi key disable v1 --usage usage.json",
    ),
    "key enable": ("kleidi key enable v1", "kleidi key enable v1 --reason 'an old backup needs it'"),
    "key destroy": (
        "kleidi key destroy v1 --usage usage.json --dry-run",
        "kleidi key destroy v1 --usage usage.json",
    ),
    "backup create": (
        "kleidi backup create --to age1… bundles/",
        "kleidi backup create --passphrase kleidi.age",
    ),
    "backup verify": (
        "kleidi backup verify kleidi.age --identity identity.txt",
        "kleidi backup verify kleidi.age --identity identity.txt --against-live",
    ),
    "backup drill": (
        "kleidi backup drill --identity identity.txt",
        "kleidi backup drill --identity - <identity.txt",
    ),
    "backup restore": (
        "kleidi backup restore kleidi.age --identity identity.txt --dry-run",
        "kleidi backup restore kleidi.age --identity identity.txt",
    ),
    "slot list": ("kleidi slot list", "kleidi slot list -o json"),
    "slot add": (
        "kleidi slot add --kind recovery --recipient age1…",
        "kleidi slot add --kind passphrase --name vault",
    ),
    "slot test": ("kleidi slot test passphrase", "kleidi slot test recovery --identity identity.txt"),
    "slot renew": ("kleidi slot renew tpm", "kleidi slot renew tpm --pcrs 7"),
    "slot remove": (
        "kleidi slot remove passphrase --dry-run",
        "kleidi slot remove passphrase --reason 'handed over'",
    ),
    "transit policy": (
        "kleidi transit policy | bao policy write kms -",
        "kleidi transit policy >kleidi.hcl",
    ),
    "transit check": ("kleidi transit check", "kleidi transit check -o json"),
    "transit adopt": (
        "kleidi transit adopt kleidi-kms-plugin_1_1700000000 --dry-run",
        "kleidi transit adopt kleidi-kms-plugin_1_1700000000 --key transit/kleidi",
    ),
    "transit rotate": (
        "kleidi transit rotate --token-file token",
        "kleidi transit rotate --token-file token -o json",
    ),
    "unseal": ("kleidi unseal --passphrase", "kleidi unseal --identity identity.txt"),
    "adopt": (
        "kleidi adopt tokens/ --pin-file pin --dry-run",
        "kleidi adopt tokens/ --pin-file - --key-label kleidi-kms-plugin",
    ),
    "anchor show": ("kleidi anchor show", "kleidi anchor show -o json"),
    "anchor accept": (
        "kleidi anchor accept --reason 'the disk burnt' --dry-run",
        "kleidi anchor accept --reason 'the disk burnt'",
    ),
    "node invite": ("kleidi node invite", "kleidi node invite -o json"),
    "node export": (
        "kleidi node export --to age1… keys.age",
        "kleidi node export --to age1… | ssh NODE kleidi node join -",
    ),
    "node join": ("kleidi node join keys.age --dry-run", "kleidi node join - <keys.age"),
    "install": (
        "kleidi install --first --dry-run",
        "kleidi install --first --tpm --slot tpm --recovery age1…",
    ),
    "uninstall": ("kleidi uninstall --dry-run", "kleidi uninstall --usage usage.json"),
    "manifests": (
        "kleidi manifests rke2 --first --directory rke2",
        "kleidi manifests kubeadm --engine pkcs11 --pkcs11-module /opt/hsm/lib.so --pkcs11-token label=k",
    ),
    "encryption-config": (
        "kleidi encryption-config",
        "kleidi encryption-config >encryption-config.yaml",
    ),
    "completion": (
        "source <(kleidi completion bash)",
        "kleidi completion fish >~/.config/fish/completions/kleidi.fish",
    ),
    "manual": ("kleidi manual | man -l -", "kleidi manual >/usr/local/share/man/man1/kleidi.1"),
    "provision": ("kleidi provision", "kleidi provision --keep-trying"),
    "serve": ("kleidi serve", "KLEIDI_LOG_FORMAT=text kleidi serve"),
}
