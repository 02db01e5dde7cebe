"""`python -m tests.nodes.program BUNDLE IDENTITY`: what the server does with a bundle, to be disturbed.

The server keeps the invitation in its memory; here it lies in a file, so that a second run can go on.
"""

import secrets
import sys
from pathlib import Path

from appliance import assembly
from appliance.backup.age import Identities
from appliance.backup.bundle import open_bundle
from appliance.faults import KleidiError
from appliance.settings import load
from tests.volume.traced import SUFFIX

_draw = secrets.token_hex


def main() -> None:
    # As tests/volume/traced.py has it: scratch files with names that strace can be told beforehand.
    secrets.token_hex = lambda nbytes=None: SUFFIX if nbytes == 4 else _draw(nbytes)
    settings = load()
    _, payload = open_bundle(Path(sys.argv[1]).read_bytes(), Identities.parse(Path(sys.argv[2]).read_text()))
    storage = assembly.storage(settings)
    operations = assembly.operations(settings, assembly.ledger(settings), storage)
    cluster = assembly.cluster(settings, operations)
    try:
        if not cluster.holds_keys():
            cluster.enter(payload, dry_run=False)
            return
        with storage.volume.lock():
            storage.sweep()
            cluster.update(storage.open(), payload, dry_run=False)
    except KleidiError as error:
        sys.stderr.write(f"kleidi: {error}\n")
        sys.exit(error.fault.exit)


if __name__ == "__main__":
    main()
