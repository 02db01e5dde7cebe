"""However it stands, a scrape tells all of the table, and of the state what `kleidi status` does."""

import time

from appliance import faults
from appliance.key_hash import digest
from appliance.keys.keyset import KeyState
from appliance.service.metrics import table
from appliance.service.standing import State
from tests.service.running import Running
from tests.states.cases import Case, every_case
from tests.states.ground import Ground
from tests.telemetry.scraped import Scraped

NO_SEAL = {faults.VOLUME_EMPTY, faults.AWAITING_JOIN, faults.VOLUME_EMPTIED, faults.SEAL_CORRUPT}


@every_case
def test_a_scrape_tells_how_it_stands(case: Case, running: Running, ground: Ground) -> None:
    assert running
    scraped = Scraped.of(ground.health)
    assert scraped.names == [metric.name for metric in table.every()]
    states = {labels["state"]: value for labels, value in scraped.of_name("kleidi_state")}
    assert states == {state: state == case.state for state in State}
    reasons = [labels for labels, value in scraped.of_name("kleidi_reason") if value == 1]
    assert reasons == [{"id": fault.id, "kind": fault.kind.name.lower()} for fault in case.reasons]
    since = scraped.value("kleidi_state_since_timestamp_seconds") or 0
    assert (scraped.value("process_start_time_seconds") or 0) <= since <= time.time()


@every_case
def test_what_is_not_said_to_be_absent_is_there(case: Case, running: Running, ground: Ground) -> None:
    assert running
    scraped = Scraped.of(ground.health)
    told = {name.removesuffix("_bucket") for name, _ in scraped.series}
    always = {metric.name for metric in table.every() if not metric.absent}
    assert always <= told
    allowed = {metric.name: metric.absent for metric in table.every()}
    shut = {name for name, absent in allowed.items() if absent == "while no key is open"}
    assert (shut <= told) if case.serves else not shut & told
    # Nothing is said of a volume that is not the one that is served.
    if faults.VOLUME_GONE in case.reasons:
        assert not {"kleidi_slot_info", "kleidi_audit_intact", "kleidi_volume_free_bytes"} & told
    else:
        assert ("kleidi_slot_info" in told) == (not NO_SEAL & set(case.reasons))
        assert {"kleidi_audit_intact", "kleidi_volume_free_bytes"} <= told


@every_case
def test_keys_have_the_name_that_the_api_server_gives_them(
    case: Case, running: Running, ground: Ground
) -> None:
    assert running
    scraped = Scraped.of(ground.health)
    told = [labels for labels, _ in scraped.of_name("kleidi_key_info")]
    kept = [key for key in ground.keyset.keys if key.state is not KeyState.DESTROYED] if case.serves else []
    assert told == [
        {"key_id_hash": digest(key.id), "key": key.name, "state": key.state, "adopted": "false"}
        for key in kept
    ]
    readable = {labels["key_id_hash"]: value for labels, value in scraped.of_name("kleidi_key_readable")}
    spoilt = {KeyState.RETIRED} if faults.KEY_UNREADABLE in case.reasons else set()
    assert readable == {digest(key.id): key.state not in spoilt for key in kept if key.state.decrypts}
