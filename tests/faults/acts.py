"""What a process of the matrix does: a kleidi command, or what the server does with an order, without it.

Each takes its words as a command line does, and ends as one: a line on stderr and an exit code.
"""

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from appliance import assembly, cli
from appliance.age.key_pairs import Identities
from appliance.backup import directory
from appliance.backup.bundle import open_bundle
from appliance.cli.secrets import read
from appliance.faults import SLOT_SECRET, KleidiError
from appliance.keys.engine import SOFTHSM
from appliance.keys.keyring import Keyring
from appliance.service import server  # noqa: F401  commands import them when they run
from appliance.service.opened import OpenToken
from appliance.settings import Settings, load
from appliance.slots.listing import rows
from appliance.slots.passphrase import Passphrase
from appliance.volume import memory
from softhsm import Library
from tests.token.foreign_program import PIN, ForeignProgram

SEED = b"thirty-two bytes of a seed, here"
FOREIGN_LABEL = "kleidi-kms-plugin"
# Scratch files have this in their name, and it is noon: strace must be told every name beforehand.
SUFFIX = "feedbeef"
_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_draw = secrets.token_hex


class _Noon(datetime):
    @classmethod
    def now(cls, _zone: tzinfo | None = None) -> "_Noon":
        return cls.fromtimestamp(_NOON.timestamp(), UTC)


def name_foreseeably() -> None:
    """For a process that is traced."""
    secrets.token_hex = lambda nbytes=None: SUFFIX if nbytes == 4 else _draw(nbytes)
    directory.datetime = _Noon  # type: ignore[attr-defined]


@contextlib.contextmanager
def _ending() -> Iterator[Settings]:
    try:
        yield load()
    except KleidiError as error:
        sys.stderr.write(f"kleidi: {error}\n")
        sys.exit(error.fault.exit)


def kleidi(words: tuple[str, ...]) -> None:
    sys.argv[:] = ["kleidi", *words]
    cli.main()


def join(words: tuple[str, ...]) -> None:
    """BUNDLE IDENTITY: the server keeps the invitation in its memory, here it lies in a file."""
    bundle, identity = Path(words[0]), words[1]
    with _ending() as settings:
        _, payload = open_bundle(directory.take(bundle), Identities.parse(read(identity, SLOT_SECRET)))
        kept = assembly.storage(settings)
        counted, engines = assembly.ledger(settings), assembly.engines(settings)
        cluster = assembly.cluster(settings, assembly.operations(settings, counted, kept, engines))
        if not cluster.holds_keys():
            cluster.enter(payload, dry_run=False, by=assembly.here())
            return
        with assembly.offline(settings) as (opened, operations):
            assembly.cluster(settings, operations).update(opened, payload, dry_run=False, by=assembly.here())


def export(words: tuple[str, ...]) -> None:
    """RECIPIENT FILE: as the server hands out its keys and the command line writes them."""
    recipient, file = words
    with _ending() as settings, assembly.offline(settings) as (opened, operations):
        bundle, _ = assembly.cluster(settings, operations).export(opened, recipient, assembly.here())
        directory.put(Path(file), bundle)


def boot(_words: tuple[str, ...]) -> None:
    """As the server opens the volume."""
    with _ending() as settings:
        token = _token(settings)
        token.open()
        token.close()


def unseal(words: tuple[str, ...]) -> None:
    """PASSPHRASE-FILE: as the server opens the volume by hand."""
    with _ending() as settings:
        secret, token = Passphrase(read(words[0], SLOT_SECRET)), _token(settings)
        row = next(row for row in rows(assembly.storage(settings)) if row.kind == secret.kind)
        token.admit(secret.recall(row.values))
        token.open()
        token.close()


def _token(settings: Settings) -> OpenToken:
    return OpenToken(
        assembly.storage(settings),
        assembly.engines(settings),
        settings.memory_dir,
        lambda: assembly.waiting_for(settings),
        assembly.ledger(settings).take_up,
    )


def wrap(_words: tuple[str, ...]) -> None:
    """Encrypt with the primary key of the newest generation, and print what came of it."""
    with _ending() as settings:
        opened, engines = assembly.storage(settings).open(), assembly.engines(settings)
        with memory.room(settings.memory_dir) as room:
            engines[SOFTHSM].open(room, opened.payload.state(SOFTHSM))
            wrapped = Keyring(opened.payload.keyset, engines).wrap(SEED)
            engines[SOFTHSM].close()
        json.dump([wrapped.key_id, wrapped.envelope.hex()], sys.stdout)


def make_foreign_token(words: tuple[str, ...]) -> None:
    """DIRECTORY PIN-FILE: what another plugin over SoftHSM would have left."""
    directory, pin = map(Path, words)
    directory.mkdir(parents=True)
    program = ForeignProgram(Library.find(), directory)
    program.keygen(program.init_token("kleidi"), FOREIGN_LABEL)
    pin.write_text(PIN)
