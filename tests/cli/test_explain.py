"""`kleidi explain` where nothing is: no server, no settings that work, nobody's rights, no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import faults
from appliance.cli.explain import explained
from appliance.faults import Exit
from tests.cli.documents import check
from tests.reference import CHECKOUT

NOBODY = 65534


def explain(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """As nobody, where it can be; with settings with which no other verb would work."""
    return subprocess.run(
        [sys.executable, "-m", "appliance", "explain", *arguments],
        cwd=CHECKOUT,
        env={"KLEIDI_NONSENSE": "1", "KLEIDI_CONFIG_FILE": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
        | settings,
        user=NOBODY if os.geteuid() == 0 and readable() else None,
        capture_output=True,
        text=True,
        check=False,
    )


def readable() -> bool:
    """Whether anybody may read the checkout and the interpreter."""
    places = [CHECKOUT, *CHECKOUT.parents, *Path(sys.executable).parents, *Path(sys.base_prefix).parents]
    return all(place.stat().st_mode & 0o005 == 0o005 for place in places)


def test_one_id() -> None:
    done = explain("tpm-pcr")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "E-TPM-PCR"
    names = [line.split("  ")[0] for line in lines[1:] if not line.startswith(" ")]
    assert names == ["what", "felt", "look", "do", "wake", "exit code"]
    assert any(line.startswith("do          1. If you did that: ") for line in lines)
    assert "            2. If nobody changed firmware or boot keys, " in done.stdout


def test_alone_it_names_every_id_by_its_room() -> None:
    done = explain()
    assert (done.returncode, done.stderr) == (0, "")
    rooms = [block.splitlines() for block in done.stdout.split("\n\n")]
    assert [each for room in rooms for each in room[1].split()] == [fault.id for fault in faults.every()]


def test_json_for_one_and_for_all() -> None:
    one = check(explain("E-SEAL-KEY-GONE", "-o", "json").stdout)
    assert one["schema"] == "kleidi.explain/v1"
    (told,) = one["faults"]
    assert (told["id"], told["wake"], told["exit"]) == ("E-SEAL-KEY-GONE", "look today", Exit.DEGRADED)
    everything = check(explain("-o", "json").stdout)["faults"]
    assert [each["id"] for each in everything] == [fault.id for fault in faults.every()]
    assert told in everything


def test_an_id_that_there_is_not_names_those_near_it() -> None:
    done = explain("E-SEALKEYGONE")
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kleidi: E-COMMAND-LINE: ")
    assert "near it: E-SEAL-KEY-GONE" in line


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("fault", faults.every(), ids=lambda fault: fault.id)
def test_it_fits_the_terminal(fault: faults.Fault, columns: int) -> None:
    lines = explained(fault.id).to_text(columns).splitlines()
    assert [line for line in lines if len(line) > columns] == []
