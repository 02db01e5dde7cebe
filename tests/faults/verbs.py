"""Every verb that changes what lasts. A row is a name, what is done before, the command, what it comes to.

Commands are kleidi's, and {names} in them a site's: its root, its key ids v1, v2, …, its recipient. The
matrix finds out by itself which calls a command makes, on which files, and how it ends the second time.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.age.key_pairs import Identities
from tests.faults import acts
from tests.faults.look import IDENTITY, KEPT_KEY, PHRASE
from tests.faults.site import Site
from tests.faults.warm import Act
from tests.slots import keepers

Preparation = str | Callable[[Site], None]


@dataclass(frozen=True)
class Verb:
    """*goal* is what Seen.text tells afterwards: states of keys, slots, whether they are shared.

    *steady*: what is done already is left alone, to the last time stamp. *sweeps*: the next run removes what
    an interrupted one left, not only the next boot. *serves*: there is a volume to boot from. *may_lack*:
    files that only an undisturbed run leaves. *keeper*: the kind of slot whose key something else keeps.
    """

    name: str
    before: tuple[Preparation, ...]
    command: str
    goal: str
    act: Act = acts.kleidi
    settings: dict[str, str] = field(default_factory=dict)
    steady: bool = False
    sweeps: bool = True
    serves: bool = True
    may_lack: frozenset[str] = frozenset()
    keeper: str = ""


def _person(site: Site) -> None:
    """Who may open bundles, and a passphrase."""
    identities = Identities.generate()
    (site.root / IDENTITY).write_text("\n".join(identities.secrets))
    (site.root / "recipient").write_text(identities.recipients.names[0])
    (site.root / PHRASE).write_text("correct horse battery staple")


def _foreign_token(site: Site) -> None:
    site.must("{root}/foreign/tokens {root}/pin", acts.make_foreign_token)


def _lose_seal_key(site: Site) -> None:
    site.seal_key.rename(site.root / KEPT_KEY)


def _shelf(site: Site) -> None:
    """Where bundles go by themselves."""
    _person(site)
    (site.root / "bundles").mkdir()


def _lose_everything(site: Site) -> None:
    for directory in (site.volume, site.etc):
        shutil.rmtree(directory)
        directory.mkdir(mode=0o700)


def _forget(site: Site) -> None:
    """A restored disk, a new node name: nothing outside of the volume tells of it."""
    site.anchor.unlink()
    site.seal_key.with_name("seal.key.used").unlink()


def _put_back(site: Site) -> None:
    """A volume of an older day; of the rotation that it lacks only the anchor tells."""
    kept = site.root / "kept"
    shutil.copytree(site.volume, kept)
    site.must("key rotate")
    shutil.rmtree(site.volume)
    kept.rename(site.volume)


def _founder(site: Site) -> None:
    """Another node, which made the key: its first bundle, and one with a key more."""
    founder = Site(site.root.with_name(f"{site.root.name}-founder"), site.memory).build()
    for name in (IDENTITY, "recipient"):
        shutil.copy(site.root / name, founder.root)
    founder.must("provision")
    founder.announce()
    founder.must("{recipient} {root}/first.age", acts.export)
    founder.must("key stage")
    founder.must("{recipient} {root}/newer.age", acts.export)
    for name in ("first.age", "newer.age", "announced.json"):
        shutil.copy(founder.root / name, site.root)
    founder.clear()


def _joined(site: Site) -> None:
    site.must(_take("first"), acts.join)


_ONE = ("provision",)
_TWO = (*_ONE, "key rotate")
_OFF = (*_TWO, "key disable v1 --stored 0")
_STAGED = (*_ONE, "key stage")
_PERSON = (_person, *_ONE)
_ADD = {
    "file": "slot add --kind file --name second --key-file {root}/second.key",
    "passphrase": "slot add --kind passphrase --name second --passphrase-file {root}/phrase",
    "recovery": "slot add --kind recovery --name second --recipient {recipient}",
}
_TEST = {
    "file": "slot test second --key-file {root}/second.key",
    "passphrase": "slot test second --passphrase-file {root}/phrase",
    "recovery": "slot test second --identity {root}/identity",
}
_BACKUP = "backup create {root}/bundle.age --to {recipient}"
_BACKUP_PHRASE = "backup create {root}/bundle.age --passphrase-file {root}/phrase"
_VERIFY = "backup verify {root}/bundle.age --identity {root}/identity"
_RESTORE = "backup restore {root}/bundle.age --identity {root}/identity"
_ADOPT = "adopt {root}/foreign/tokens --pin-file {root}/pin"
_UNINSTALL = "uninstall --force --root {root}/node"
_AHEAD = {"BACKUP_RECIPIENTS": "{recipient}", "BACKUP_DIR": "{root}/bundles"}
_ACCEPT = "anchor accept --reason gone --lineage {lineage}"
_JOIN = {"PROVISION": "join"}
_FIRST = (_person, _founder)
_NEWER = (*_FIRST, _joined)
_SEALED = (*_PERSON, _ADD["passphrase"], _lose_seal_key, _forget)


def _take(bundle: str) -> str:
    return f"{{root}}/{bundle}.age {{root}}/identity"


def _add(kind: str) -> str:
    return f"slot add --kind {kind} --name second"


def _install(distribution: str) -> str:
    return f"install --first --root {{root}}/node --distribution {distribution}"


KEYS = (
    Verb("provision", (), "provision", "primary, file", steady=True),
    Verb("stage", _ONE, "key stage", "primary staged, file"),
    Verb("stage-backed-up", (_shelf, *_ONE), "key stage", "primary staged, file", settings=_AHEAD),
    Verb("promote", _STAGED, "key promote v2", "retired primary, file"),
    Verb("rotate", _ONE, "key rotate", "retired primary, file"),
    Verb("retire", _STAGED, "key retire v2", "primary retired, file"),
    Verb("disable", _TWO, "key disable v1 --stored 0", "disabled primary, file"),
    Verb("enable", _OFF, "key enable v1", "retired primary, file"),
    Verb("destroy", _OFF, "key destroy v1 --stored 0 --key-id {v1}", "destroyed primary, file"),
    Verb("adopt", (*_ONE, _foreign_token), _ADOPT, "primary retired, file"),
)
SLOTS = (
    *(Verb(f"slot-add-{kind}", _PERSON, _ADD[kind], "primary, file second") for kind in _ADD),
    *(
        Verb(f"slot-test-{kind}", (*_PERSON, _ADD[kind]), _TEST[kind], "primary, file second")
        for kind in _ADD
    ),
    *(
        Verb(f"slot-remove-{kind}", (*_PERSON, _ADD[kind]), "slot remove second", "primary, file")
        for kind in _ADD
    ),
)
KEPT = (
    *(
        Verb(
            f"provision-{kind}",
            (_person,),
            "provision",
            f"primary, {kind} recovery",
            settings={"SLOT": kind, "RECOVERY": "{recipient}"},
            steady=True,
            keeper=kind,
        )
        for kind in keepers.KINDS
    ),
    *(
        Verb(f"slot-{verb}-{kind}", (*_PERSON, *before), command, goal, keeper=kind)
        for kind in keepers.KINDS
        for verb, before, command, goal in (
            ("add", (), _add(kind), "primary, file second"),
            ("renew", (_add(kind),), "slot renew second", "primary, file second"),
            ("remove", (_add(kind),), "slot remove second", "primary, file"),
        )
    ),
)
BACKUPS = (
    Verb("backup-create", _PERSON, _BACKUP, "primary, file", sweeps=False),
    Verb("backup-create-passphrase", _PERSON, _BACKUP_PHRASE, "primary, file", sweeps=False),
    Verb("backup-verify", (*_PERSON, _BACKUP), _VERIFY, "primary, file", sweeps=False),
    Verb(
        "backup-restore",
        (_person, *_TWO, _BACKUP, _lose_everything),
        _RESTORE,
        "retired primary, file",
        sweeps=False,
        # Its second run has nothing to do, and does not write down that it verified the bundle.
        may_lack=frozenset({"volume/verified.json"}),
    ),
)
NODES = (
    Verb("node-export", _PERSON, "{recipient} {root}/bundle.age", "primary, file, shared", acts.export),
    Verb("node-join", _FIRST, _take("first"), "primary, file, shared", acts.join, _JOIN),
    Verb("node-join-again", _NEWER, _take("newer"), "primary staged, file, shared", acts.join, _JOIN),
)
OPENING = (
    Verb("boot", (*_TWO, _forget), "", "retired primary, file", acts.boot, sweeps=False),
    Verb("anchor-accept", (*_ONE, _put_back), _ACCEPT, "primary, file"),
    Verb("unseal", _SEALED, "{root}/phrase", "primary, file second", acts.unseal, sweeps=False),
)
INSTALLATION = (
    *(
        Verb(f"install-{name}", (), _install(name), "", steady=True, serves=False)
        for name in ("kubeadm", "rke2", "k3s")
    ),
    Verb("install-tpm", (), f"{_install('kubeadm')} --tpm", "", steady=True, serves=False),
    Verb("uninstall", (_install("rke2"),), _UNINSTALL, "", steady=True, serves=False),
)
VERBS = {verb.name: verb for verb in (*KEYS, *SLOTS, *KEPT, *BACKUPS, *NODES, *OPENING, *INSTALLATION)}
