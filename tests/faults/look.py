"""What there is after a disturbance: read in a process of its own with the real SoftHSM, changing nothing."""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance import assembly
from appliance.age.key_pairs import Identities
from appliance.age.passphrase import is_under_passphrase
from appliance.backup.bundle import open_bundle
from appliance.cli.secrets import opener
from appliance.faults import KleidiError
from appliance.keys.engine import SOFTHSM
from appliance.keys.engines import Engines
from appliance.keys.keyring import Keyring, Wrapped
from appliance.keys.keyset import KeySet, KeyState
from appliance.ops.slots import name_of
from appliance.settings import load
from appliance.slots import KINDS, Asked
from appliance.slots.passphrase import Passphrase
from appliance.slots.recovery import Recovery
from appliance.volume import memory
from appliance.volume.custody import Custody
from appliance.volume.generations import VolumeState
from appliance.volume.opening import Opened, Storage
from appliance.volume.payload import Payload
from appliance.volume.seal import read_header, unseal
from appliance.volume.slot import Unwrapper
from tests.faults.acts import SEED

# Where a seal key lies that the appliance does not find, and what opens the bundles of a site.
KEPT_KEY, IDENTITY, PHRASE, ANNOUNCED = "kept.key", "identity", "phrase", "announced.json"
# The slot that is added, tested and removed, and where it has its secret when that is a file.
SECOND, SECOND_KEY = "second", "second.key"


@dataclass
class Seen:
    """*keys* are states by id; *wrong* is what does not open, *lingering* a destroyed key still there."""

    sealed: bool = False
    generation: int = 0
    generations: list[int] = field(default_factory=list)
    lineages: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    shared: bool = False
    wrong: list[str] = field(default_factory=list)
    lingering: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a verb changes, without what differs from site to site."""
        parts = [" ".join(self.keys.values()), " ".join(self.slots), "shared" if self.shared else ""]
        return ", ".join(part for part in parts if part)


def look(words: tuple[str, ...]) -> None:
    """ROOT: print what is seen as JSON."""
    root, settings, seen = Path(words[0]), load(), Seen()
    storage = assembly.storage(settings)
    try:
        if storage.volume.survey().state is VolumeState.SEALED:
            kept = Custody("file", root / KEPT_KEY)
            opened = storage.open([kept.load()] if kept.path.exists() else [])
            _see(seen, storage, opened)
            seen.wrong += _unopened(root, opened, assembly.engines(settings), settings.memory_dir)
            seen.wrong += _bundles(root, opened.payload.keyset)
            seen.wrong += _shut(root, storage, opened)
    except KleidiError as error:
        seen.wrong.append(f"it does not open: {error}")
    json.dump(asdict(seen), sys.stdout)


def _see(seen: Seen, storage: Storage, opened: Opened) -> None:
    keyset = opened.payload.keyset
    seen.sealed, seen.generation, seen.shared = True, opened.header.generation, opened.payload.shared
    seen.keys = {key.id: str(key.state) for key in keyset.keys}
    seen.slots = [name_of(slot) for slot in opened.payload.slots]
    seen.generations = storage.volume.older(1 << 30)
    headers = [read_header(storage.volume.read(number)) for number in seen.generations]
    known = storage.anchor.read()
    told = {storage.custody.used_for(), known.lineage if known else ""} - {""}
    seen.lineages = sorted({keyset.lineage, *told, *(header.lineage for header in headers)})
    gone = {key.object_id for key in keyset.keys if key.state is KeyState.DESTROYED}
    for number in seen.generations:
        keys = Payload.from_bytes(unseal(storage.volume.read(number), opened.payload.slots)[1]).keyset.keys
        alive = [key.id for key in keys if key.object_id in gone and key.state is not KeyState.DESTROYED]
        seen.lingering += [f"{key_id} in generation {number}" for key_id in alive]


def announced(root: Path) -> list[Wrapped]:
    """Everything that Status ever named here, with a ciphertext each."""
    try:
        found = json.loads((root / ANNOUNCED).read_text())
    except FileNotFoundError:
        return []
    return [Wrapped(key_id, bytes.fromhex(envelope)) for key_id, envelope in found]


def _unopened(root: Path, opened: Opened, engines: Engines, memory_dir: Path) -> list[str]:
    wrong = []
    with memory.room(memory_dir) as room:
        engines[SOFTHSM].open(room, opened.payload.state(SOFTHSM))
        ring = Keyring(opened.payload.keyset, engines)
        wrong += [f"{key.id} is another key" for key in ring.failing(SOFTHSM)]
        for each in announced(root):
            try:
                if ring.unwrap(each.key_id, each.envelope) != SEED:
                    wrong.append(f"{each.key_id} gives something else")
            except KleidiError as error:
                # Whether an operator wanted that, the states tell.
                if error.fault.id not in ("E-KEY-DISABLED", "E-KEY-DESTROYED"):
                    wrong.append(f"{each.key_id}: {error}")
        engines[SOFTHSM].close()
    return wrong


def _bundles(root: Path, keyset: KeySet) -> list[str]:
    """A bundle is whole, or there is none."""
    wrong = []
    for path in root.rglob("*.age"):
        try:
            data = path.read_bytes()
            phrase = str(root / PHRASE) if is_under_passphrase(data) else ""
            header, payload = open_bundle(
                data, opener(data, identity=str(root / IDENTITY), ask=False, file=phrase)
            )
        except KleidiError as error:
            wrong.append(f"{path.name}: {error}")
        else:
            held, ours = ({key.id for key in keys.keys} for keys in (payload.keyset, keyset))
            # One that is still to be taken may hold more; so may one ahead of a change that never was.
            told = {each.key_id for each in announced(root)}
            same = held <= ours or ours <= held or not (held - ours) & told
            wrong += [] if same and header.lineage == keyset.lineage else [f"{path.name} holds other keys"]
    return wrong


def _shut(root: Path, storage: Storage, opened: Opened) -> list[str]:
    """The slots that do not open what they are slots of, each with its own secret alone."""
    wrong, sealed = [], storage.volume.read(opened.header.generation)
    for slot in opened.payload.slots:
        if (name := name_of(slot)) != SECOND:
            continue
        match slot.kind:
            case "passphrase":
                key: Unwrapper = Passphrase((root / PHRASE).read_text()).recall(slot.values)
            case "recovery":
                key = Recovery(Identities.parse((root / IDENTITY).read_text())).recall(slot.values)
            case "file":
                key = Custody("file", root / SECOND_KEY).load()
            case kind:
                asked = Asked(root, root / SECOND_KEY, load())
                key = KINDS[kind].opening().secret(asked).recall(slot.values)
        if Payload.from_bytes(unseal(sealed, [key])[1]) != opened.payload:
            wrong.append(f"slot {name} opens something else")
    return wrong
