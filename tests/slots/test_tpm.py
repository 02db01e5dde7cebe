"""A node whose seal opens by its TPM: away, another's, measured anew; and from a key file to it and back."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.age.key_pairs import Identities
from tests.rig import CONFIG, Appliance
from tests.slots.test_unsealing import do, eventually, restart, standing
from tests.tpm.chip import Chip
from tests.tpm.conftest import chip, other

__all__ = ["chip", "other"]

SERVES = ("OPERATIONAL", "")
BOOT = bytes(range(32))  # what the firmware measures at every start


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The other half of the slot `recovery`, in a safe."""
    identities = Identities.generate()
    path = tmp_path / "identity"
    path.write_text("\n".join(identities.secrets))
    path.with_suffix(".pub").write_text(identities.recipients.names[0])
    return path


@pytest.fixture
def appliance(tmp_path: Path, chip: Chip, identity: Path) -> Iterator[Appliance]:
    """Not started yet."""
    settings = {
        "slot": "tpm",
        "tpm": f"unix://{chip.path}",
        "recovery": identity.with_suffix(".pub").read_text(),
        "seal_key_file": str(tmp_path / "etc" / "seal.key"),
    }
    with Appliance(tmp_path, CONFIG, **settings) as made:
        yield made


@pytest.fixture
def serving(appliance: Appliance) -> Appliance:
    appliance.start()
    appliance.wait_ready()
    return appliance


def protection(appliance: Appliance) -> str:
    return str(json.loads(do(appliance, "status", "-o", "json"))["protection"])


def power_cycle(appliance: Appliance, chip: Chip, measured: bytes = b"") -> None:
    """The whole machine: the chip forgets its registers, and the firmware measures what it starts."""
    chip.cut_and_start()
    if measured:
        chip.extend(7, measured)
    appliance.reboot()


def test_a_first_boot_writes_no_key_and_opens_by_itself_for_ever(serving: Appliance, chip: Chip) -> None:
    key_id = serving.status().key_id
    assert not (serving.root / "etc" / "seal.key").exists()
    assert protection(serving) == "tpm"
    for _ in range(4):  # more power cuts than a chip forgives who guesses wrong
        power_cycle(serving, chip)
        assert serving.wait_ready() == key_id
    assert standing(serving) == SERVES


def test_a_first_boot_waits_for_the_chip_and_for_a_second_way(appliance: Appliance, chip: Chip) -> None:
    recovery = appliance.environment.pop("KLEIDI_RECOVERY")
    appliance.start()
    eventually(appliance, "FAILED", "E-SLOT-ALONE")
    assert not list(appliance.volume.glob("*.seal"))
    chip.cut()
    appliance.environment["KLEIDI_RECOVERY"] = recovery
    restart(appliance)
    eventually(appliance, "FAILED", "E-TPM-MISSING")
    assert not list(appliance.volume.glob("*.seal"))
    chip.start()
    appliance.wait_ready()


def test_a_chip_that_is_away_seals_the_next_start_alone(
    serving: Appliance, chip: Chip, identity: Path
) -> None:
    key_id = serving.status().key_id
    chip.cut()
    do(serving, "key", "rotate", "--force", "--reason", "nobody asks the chip")
    second = serving.status().key_id
    assert second != key_id
    restart(serving)
    eventually(serving, "SEALED", "E-TPM-MISSING")
    assert serving.run("status").returncode == 3
    chip.start()
    assert serving.wait_ready() == second
    chip.cut()
    restart(serving)
    eventually(serving, "SEALED", "E-TPM-MISSING")
    do(serving, "unseal", "--identity", str(identity))
    assert serving.status().key_id == second
    eventually(serving, "DEGRADED", "E-SEAL-KEY-GONE")
    assert serving.status().healthz == "ok"


def test_another_machine_opens_nothing_but_by_recovery_and_gets_a_slot_of_its_own(
    serving: Appliance, chip: Chip, other: Chip, identity: Path
) -> None:
    key_id = serving.status().key_id
    serving.environment["KLEIDI_TPM"] = f"unix://{other.path}"
    restart(serving)
    eventually(serving, "SEALED", "E-TPM-OTHER")
    assert "unseal" in serving.run("status").stdout
    denied = serving.run("unseal", "--kind", "tpm")
    assert (denied.returncode, "E-TPM-OTHER" in denied.stderr) == (6, True)
    do(serving, "unseal", "--identity", str(identity))
    do(serving, "slot", "renew", "tpm")
    assert standing(serving) == SERVES
    restart(serving)
    assert serving.wait_ready() == key_id
    # The machine that it came from is another one now.
    serving.environment["KLEIDI_TPM"] = f"unix://{chip.path}"
    restart(serving)
    eventually(serving, "SEALED", "E-TPM-OTHER")


def test_what_was_measured_anew_opens_after_it_was_renewed(
    serving: Appliance, chip: Chip, identity: Path
) -> None:
    unmeasured = serving.run("slot", "renew", "tpm", "--pcrs", "7")
    assert (unmeasured.returncode, "E-TPM-UNMEASURED" in unmeasured.stderr) == (5, True)
    power_cycle(serving, chip, BOOT)
    key_id = serving.wait_ready()
    do(serving, "slot", "renew", "tpm", "--pcrs", "7")
    assert protection(serving) == "tpm+pcrs"
    power_cycle(serving, chip, BOOT)
    assert serving.wait_ready() == key_id
    power_cycle(serving, chip, BOOT[::-1])
    eventually(serving, "SEALED", "E-TPM-PCR")
    do(serving, "unseal", "--identity", str(identity))
    do(serving, "slot", "renew", "tpm")
    assert protection(serving) == "tpm+pcrs"  # for the same registers as before
    power_cycle(serving, chip, BOOT[::-1])
    assert serving.wait_ready() == key_id
    power_cycle(serving, chip, BOOT)
    eventually(serving, "SEALED", "E-TPM-PCR")


def test_from_a_key_file_to_the_chip_and_back_without_a_word_lost(
    appliance: Appliance, identity: Path
) -> None:
    key = appliance.root / "etc" / "seal.key"
    recipient = appliance.environment.pop("KLEIDI_RECOVERY")
    appliance.environment["KLEIDI_SLOT"] = "file"
    appliance.start()
    key_id = appliance.wait_ready()
    beside = protection(appliance)

    do(appliance, "slot", "add", "--kind", "tpm")
    appliance.environment["KLEIDI_SLOT"] = "tpm"
    restart(appliance)
    assert appliance.wait_ready() == key_id
    assert protection(appliance) == beside  # worth nothing while the key file opens it
    assert "opens it without the configured one" in do(appliance, "slot", "list")
    alone = appliance.run("slot", "remove", "file")
    assert (alone.returncode, "E-SLOT-ALONE" in alone.stderr) == (5, True)
    do(appliance, "slot", "add", "--kind", "recovery", "--recipient", recipient)
    do(appliance, "slot", "test", "recovery", "--identity", str(identity))
    do(appliance, "slot", "remove", "file")
    key.unlink()
    assert protection(appliance) == "tpm"
    restart(appliance)
    assert appliance.wait_ready() == key_id

    do(appliance, "slot", "add", "--kind", "file", "--key-file", str(key))
    appliance.environment["KLEIDI_SLOT"] = "file"
    restart(appliance)
    assert appliance.wait_ready() == key_id
    do(appliance, "slot", "remove", "tpm")
    assert (protection(appliance), standing(appliance)) == (beside, SERVES)


def test_a_bundle_comes_back_on_another_machine_under_its_own_chip(
    serving: Appliance, other: Chip, identity: Path, tmp_path: Path
) -> None:
    key_id, bundle = serving.status().key_id, tmp_path / "bundle.age"
    do(serving, "backup", "create", str(bundle), "--to", identity.with_suffix(".pub").read_text())
    serving.stop()
    shutil.rmtree(serving.volume)
    shutil.rmtree(serving.root / "etc")
    serving.environment |= {"KLEIDI_TPM": f"unix://{other.path}", "KLEIDI_PROVISION": "never"}
    serving.start()
    eventually(serving, "UNPROVISIONED", "E-VOLUME-EMPTY")
    do(serving, "backup", "restore", str(bundle), "--identity", str(identity))
    assert serving.wait_ready() == key_id
    kinds = [slot["kind"] for slot in json.loads(do(serving, "slot", "list", "-o", "json"))["slots"]]
    assert kinds == ["tpm", "recovery"]
