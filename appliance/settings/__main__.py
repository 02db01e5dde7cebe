"""Reads the settings for the programs of a start (appliance/handed.py), and says nothing where it cannot."""

import sys
from contextlib import suppress

from appliance import handed
from appliance.faults import KleidiError
from appliance.settings import load
from appliance.settings.table import DERIVED

if __name__ == "__main__":
    with suppress(KleidiError):  # told by the programs, which find nothing
        settings = load()
        names = [*type(settings).model_fields, *DERIVED]
        sys.stdout.buffer.write(handed.packed({name: getattr(settings, name) for name in names}))
