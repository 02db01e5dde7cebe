"""However it stands, every surface that can know says the same of it, and none says what is not so."""

import json

from appliance import faults
from appliance.faults import Exit, Kind
from tests.service.journal import Journal
from tests.service.running import Running, until
from tests.states.cases import Case, every_case
from tests.states.conftest import NOBODY, stands
from tests.states.ground import Ground
from tests.states.surfaces import ids_in, probes, told, wire
from tests.states.typist import Typist


def code_of(case: Case) -> Exit:
    return case.reasons[0].exit if case.reasons else Exit.OK


@every_case
def test_status_tells_every_reason_worst_first(
    case: Case, running: Running, ground: Ground, operator: Typist
) -> None:
    status = told(operator, ground)
    assert (status.fields["state"], status.ids) == (case.state, case.ids)
    assert status.fields["reason_id"] == (case.ids or [""])[0]
    assert status.json.exit == status.text.exit == code_of(case)
    assert (status.json.err, status.text.err) == ("", "")
    assert status.text.out.split()[:2] == ["state", case.state]
    named = ids_in(status.text.out)
    assert [each for each in named if each in case.ids] == case.ids
    assert set(named) <= {*case.ids, *status.nested}
    assert running.report().key_id == (ground.key().id if case.serves else "")


@every_case
def test_a_list_of_keys_is_whole_or_an_error(
    case: Case, running: Running, ground: Ground, operator: Typist
) -> None:
    keys = told(operator, ground).keys
    if case.serves:
        listed = {row["key_id"]: row["state"] for row in json.loads(keys.out)["keys"]}
        assert (keys.exit, keys.err) == (Exit.OK, "")
        assert listed == {key.id: key.state for key in ground.keyset.keys}
        assert running.report().keyset == ground.keyset.hash
    else:
        # No keys known is not the same as no keys.
        assert (keys.exit, ids_in(keys.err)[:1]) == (code_of(case), case.ids)
        assert '"keys"' not in keys.out


@every_case
def test_the_api_server_hears_only_what_can_fail_a_call(case: Case, running: Running, ground: Ground) -> None:
    assert running
    if not case.reached:
        return
    heard = wire(ground)
    if case.serves:
        assert heard == (str(case.healthz) if case.healthz else "ok")
    else:
        (reason,) = case.reasons
        code = "FAILED_PRECONDITION" if reason.kind is Kind.WRONG else "UNAVAILABLE"
        assert heard == f"{code} {reason}"


@every_case
def test_probes_tell_every_reason_and_no_detail(
    case: Case, running: Running, ground: Ground, operator: Typist
) -> None:
    assert running
    answers = probes(ground)
    assert answers["/livez"] == (200, "ok\n")
    words = " ".join([case.state, *map(str, case.reasons)]) if case.ids else "ok"
    assert answers["/standing"] == (503 if case.ids else 200, f"{words}\n")
    # What hurts no call is told, and makes nobody unready but the pod.
    hurts = case.ids if not case.serves else [case.healthz.id] if case.healthz else []
    code, verbose = answers["/readyz?verbose"]
    assert (code, sorted(ids_in(verbose))) == (503 if hurts else 200, sorted(case.ids))
    assert answers["/readyz"] == ((503, verbose) if hurts else (200, "ok\n"))
    failing = [line for line in verbose.splitlines() if line.startswith("[-]")]
    assert ids_in("\n".join(failing)) == hurts
    code, status = answers["/status.json"]
    # Times go on, and a detail may be told anew.
    assert code == 200
    assert json.loads(status).keys() == told(operator, ground).fields.keys()
    assert [reason["id"] for reason in json.loads(status)["reasons"]] == case.ids


@every_case
def test_each_step_is_one_line_down_and_up(
    case: Case, running: Running, ground: Ground, journal: Journal
) -> None:
    down = [journal.lines(msg="state", id=each) for each in case.ids]
    assert [len(lines) for lines in down] == [1] * len(case.ids)
    assert all(line["level"] in ("warning", "error") for (line,) in down)
    assert [line["why"] for (line,) in down] == [reason.words for reason in case.reasons]
    assert journal.lines(to=case.state)
    steps = [line for line in journal.lines() if "from" in line and "to" in line]
    assert all(line["from"] != line["to"] for line in steps)
    if case.heal is None:
        return
    case.heal(ground)
    until(lambda: stands(running) == ("OPERATIONAL", []), "it healed")
    healed = [line for line in journal.lines(to="OPERATIONAL") if line.get("from") == case.state]
    assert [line["level"] for line in healed] == ["info"]
    assert wire(ground) == "ok"
    assert probes(ground)["/readyz"] == (200, "ok\n")


@every_case
def test_who_may_not_look_is_told_only_that(
    case: Case, running: Running, ground: Ground, nobody: Typist
) -> None:
    assert running
    assert case
    status = told(nobody, ground)
    denied = faults.SERVER_DENIED
    assert (status.fields["state"], status.ids) == ("UNKNOWN", [denied.id])
    assert (status.json.exit, status.text.exit, status.keys.exit) == (Exit.REFUSED,) * 3
    for said in (status.text.out, status.keys.out + status.keys.err):
        assert ids_in(said) == [denied.id]
        assert "sudo" in said
        assert f"you are uid {NOBODY}" in said


@every_case
def test_where_nobody_listens_is_not_where_nobody_serves(
    case: Case, running: Running, ground: Ground, operator: Typist
) -> None:
    assert running
    status = told(operator, ground, KLEIDI_ADMIN_SOCKET=str(ground.admin.with_name("other.sock")))
    elsewhere = faults.SERVER_ELSEWHERE
    assert (status.fields["state"], status.ids) == ("ELSEWHERE", [elsewhere.id, *(f.id for f in case.disk)])
    assert (status.json.exit, status.text.exit) == (elsewhere.exit, elsewhere.exit)
    if case.serves and case.holds:
        assert (status.keys.exit, ids_in(status.keys.err)[:1]) == (elsewhere.exit, [elsewhere.id])
    else:
        # Nothing is held: whatever else is said comes from the volume, and is so.
        at_work = {elsewhere.id, faults.VOLUME_LOCKED.id}
        assert set(ids_in(status.keys.err)[:1]) <= {*case.ids, *(f.id for f in case.disk), *at_work}
        assert '"keys": []' not in status.keys.out
    assert "Start it" not in status.text.out
