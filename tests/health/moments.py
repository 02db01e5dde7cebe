"""What a moment looks like to who asks for it."""

import pytest

from appliance import faults
from appliance.service.standing import Standing
from tests.health.answering import KEYSET

CASES = [
    (Standing(), "STARTING", faults.STARTING),
    (Standing(faults.VOLUME_EMPTY), "UNPROVISIONED", faults.VOLUME_EMPTY),
    (Standing(faults.SEAL_KEY_MISSING, "detail"), "SEALED", faults.SEAL_KEY_MISSING),
    (Standing(faults.SEAL_CORRUPT, "detail"), "FAILED", faults.SEAL_CORRUPT),
    (Standing(faults.ANCHOR_UNWRITABLE, "detail", KEYSET), "DEGRADED", faults.ANCHOR_UNWRITABLE),
    (Standing(faults.PROBE_STALE, keyset=KEYSET), "FAILED", faults.PROBE_STALE),
]
every_state = pytest.mark.parametrize(
    ("standing", "state", "fault"), CASES, ids=[case[2].id for case in CASES]
)
