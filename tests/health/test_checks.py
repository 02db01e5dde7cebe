"""/livez, /readyz and /healthz: every state, in the control plane's own form."""

import pytest

from appliance import faults
from appliance.backup.verified import Coverage
from appliance.faults import Fault, Kind
from appliance.service import checks
from appliance.service.standing import Standing
from tests.health.answering import COVERED, KEYSET, OPERATIONAL, Answering
from tests.health.moments import every_state

WELL = """\
[+]socket ok
[+]token ok (proved 4s ago)
[+]primary ok
[+]keys ok
[+]engines ok
[+]volume ok
[+]seal-key ok
[+]anchor ok
[+]audit ok
[+]backup ok
"""


@pytest.mark.parametrize("name", ["readyz", "healthz"])
def test_all_is_well(answering: Answering, name: str) -> None:
    answering.proved_ago = 4.2
    assert answering.get(f"/{name}") == (200, "ok\n")
    assert answering.get(f"/{name}?verbose") == (200, f"{WELL}{name} check passed\n")
    for each in checks.NAMES:
        assert answering.get(f"/{name}/{each}")[0] == 200
    assert answering.get(f"/{name}/keys") == (200, "ok\n")


@every_state
def test_alive_in_every_state(answering: Answering, standing: Standing, state: str, fault: Fault) -> None:
    assert state
    assert fault
    answering.standing = standing
    assert answering.get("/livez") == answering.get("/livez/ping") == (200, "ok\n")
    assert answering.get("/livez?verbose") == (200, "[+]ping ok\nlivez check passed\n")
    assert answering.get("/livez?verbose&exclude=ping")[1] == "[+]ping excluded: ok\nlivez check passed\n"


@every_state
def test_ready_unless_calls_are_concerned(
    answering: Answering, standing: Standing, state: str, fault: Fault
) -> None:
    answering.standing = standing
    status, text = answering.get("/readyz?verbose")
    if state == "DEGRADED":
        assert (status, answering.get("/readyz")) == (200, (200, "ok\n"))
        assert f"\n[!]anchor warned: {fault}\n" in text
        assert text.endswith("\nreadyz check passed\n")
        assert answering.get("/readyz/anchor") == (200, f"ok, but {fault}\n")
    else:
        # A failure is told in full without being asked.
        assert (503, text) == answering.get("/readyz") == (status, text)
        assert f"\n[-]token failed: {fault}\n" in text
        assert text.endswith("\nreadyz check failed\n")
        assert answering.get("/readyz/token") == (503, f"{fault}\n")
        assert answering.get("/readyz/primary") == (503, "nothing is open: see token\n")


@every_state
def test_the_pods_own_probe_fails_by_a_warning_as_well(
    answering: Answering, standing: Standing, state: str, fault: Fault
) -> None:
    answering.standing = standing
    assert answering.get("/standing") == (503, f"{state} {fault}\n")
    answering.standing = OPERATIONAL
    assert answering.get("/standing") == (200, "ok\n")


def test_several_reasons_are_all_told_each_where_it_belongs(answering: Answering) -> None:
    unreadable, missed, gone = faults.KEY_UNREADABLE, faults.KEY_MISSED, faults.SEAL_KEY_GONE
    answering.standing = Standing(unreadable, keyset=KEYSET).told(
        (gone, "a detail for operators"), (missed, "")
    )
    status, text = answering.get("/readyz")
    assert status == 503
    assert f"\n[-]keys failed: {unreadable} {missed}\n" in text
    assert f"\n[!]seal-key warned: {gone}\n" in text
    assert "a detail" not in text
    assert answering.get("/readyz?exclude=keys") == (200, "ok\n")


def test_a_key_that_must_not_be_announced_is_the_primary_alone(answering: Answering) -> None:
    away = faults.TRANSIT_AWAY
    answering.standing = Standing(away, keyset=KEYSET, held_back=True)
    failed = [line for line in answering.get("/readyz")[1].splitlines() if line.startswith("[-]")]
    assert failed == [f"[-]primary failed: {away}"]
    answering.standing = Standing(faults.PRIMARY_WRONG)
    assert answering.get("/readyz/primary") == (503, f"{faults.PRIMARY_WRONG}\n")
    assert answering.get("/readyz/token") == (503, "nothing is open: see primary\n")


def test_what_is_excluded_is_left_out_as_the_control_plane_does(answering: Answering) -> None:
    answering.standing = Standing(faults.SEAL_KEY_MISSING)
    failing = "exclude=token&exclude=primary&exclude=keys"
    assert answering.get(f"/readyz?{failing}") == (200, "ok\n")
    status, text = answering.get(f'/readyz?verbose&{failing}&exclude=none&exclude=a"b')
    assert status == 200
    assert "\n[+]token excluded: ok\n" in text
    assert text.endswith(
        'warn: some health checks cannot be excluded: no matches for "a\\"b", "none"\nreadyz check passed\n'
    )
    assert answering.get("/readyz?exclude=token")[0] == 503


@pytest.mark.parametrize(
    ("covered", "words"),
    [
        (None, "no backup was ever verified here"),
        (Coverage(1, 0, "", ("v5",)), "v5 is in no verified backup"),
        (Coverage(1, 0, "", ("v5", "v6")), "v5, v6 are in no verified backup"),
    ],
)
def test_what_no_backup_holds_is_a_warning(
    answering: Answering, covered: Coverage | None, words: str
) -> None:
    answering.covered = lambda: covered
    status, text = answering.get("/readyz?verbose")
    assert (status, answering.get("/readyz/backup")) == (200, (200, f"ok, but {words}\n"))
    assert f"\n[!]backup warned: {words}\n" in text
    # It is no reason for anybody to be called.
    assert answering.get("/standing") == (200, "ok\n")


def test_a_file_on_the_volume_is_only_looked_at_for_who_wants_to_know(answering: Answering) -> None:
    """A volume that hangs must not hang the probe."""
    looks: list[Coverage] = []

    def covered() -> Coverage:
        looks.append(COVERED)
        return COVERED

    answering.covered = covered
    for target in ("/readyz", "/livez?verbose", "/standing", "/readyz?exclude=keys"):
        assert answering.get(target)[0] == 200
    assert not looks
    assert answering.get("/readyz?verbose")[0] == 200
    assert looks


@pytest.mark.parametrize("fault", faults.every(), ids=lambda fault: fault.id)
def test_every_reason_has_a_check_that_fits(fault: Fault) -> None:
    """What is no engine's must be told in its own place."""
    if fault.kind not in (Kind.WARNING, Kind.DEGRADED):
        return
    engines = ("E-ENGINE-", "E-TRANSIT-", "E-PKCS11-", "E-SLOT-HSM-KEY")
    assert (checks.home(fault) == checks.ENGINES) == fault.id.startswith(engines)
