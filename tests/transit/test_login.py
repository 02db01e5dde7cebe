"""How a node comes to a token, and that no dead one fails a call."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import faults
from appliance.keys.engine import AwayError, EngineState, Made
from appliance.transit import session
from appliance.transit.access import Access
from appliance.transit.client import Client
from appliance.transit.login import Token, log_in
from tests.conformance.patience import eventually
from tests.transit.conftest import MakeEngine, Site, by_approle, secret
from tests.usage.authority import Authority
from tests.volume.house import refused


def works(site: Site, made: Made) -> None:
    assert site.unwrap(made, site.wrap(made)) == bytes(32)


def revoke(site: Site) -> None:
    """All tokens of the node's role."""
    site.server.api("POST", f"sys/leases/revoke-prefix/auth/approle-{site.key}/login", {"sync": True})


def logins(site: Site, *, mount: str = "") -> int:
    """Tokens of the role that live."""
    found = site.server.ask("LIST", f"sys/leases/lookup/auth/{mount or f'approle-{site.key}'}/login")
    return len(found[1].get("data", {}).get("keys", []))


def test_approle(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    works(approle, approle.take())
    assert logins(site) == 1


def test_a_certificate_that_is_read_at_each_login(
    site: Site, make_engine: MakeEngine, tmp_path: Path
) -> None:
    trusted = Authority(tmp_path / "clients")
    mount = f"cert-{site.key}"
    site.server.accept_certificates(trusted, site.key, mount=mount)
    identity = trusted.issue("node")
    assert identity.cert is not None
    assert identity.key is not None
    identity.key.chmod(0o600)
    access = replace(
        site.access,
        auth="cert",
        auth_mount=mount,
        token_file=None,
        cert_file=identity.cert,
        key_file=identity.key,
        role="kleidi",
    )
    certified = replace(site, access=access, engine=make_engine(access))
    works(certified, certified.take())
    stranger = Authority(tmp_path / "strangers").issue("node")
    assert stranger.key is not None
    stranger.key.chmod(0o600)
    for changed, fault in (
        ({"cert_file": stranger.cert, "key_file": stranger.key}, faults.TRANSIT_LOGIN),
        ({"cert_file": stranger.cert}, faults.TRANSIT_SECRET),
        ({"cert_file": tmp_path / "none"}, faults.TRANSIT_SECRET),
        ({"role": "another"}, faults.TRANSIT_LOGIN),
    ):
        engine = make_engine(replace(access, **changed))
        assert refused(lambda engine=engine: engine.make(tmp_path, EngineState(), "")) is fault  # type: ignore[misc]


def test_all_tokens_revoked_under_load_fail_no_call(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    made = approle.take()
    done = threading.Event()

    def calls() -> int:
        count = 0
        while not done.is_set():
            works(approle, made)
            count += 1
        return count

    with ThreadPoolExecutor(8) as lanes:
        running = [lanes.submit(calls) for _ in range(8)]
        for _ in range(3):
            time.sleep(0.2)
            revoke(approle)
        time.sleep(0.2)
        done.set()
        assert sum(each.result() for each in running) > 0
    # Eight lanes met each dead token, and one of them logged in for all.
    assert logins(site) == 1


def test_a_lease_is_replaced_ahead_of_its_end_in_the_background(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine, token_ttl="2s", token_max_ttl="2s")  # noqa: S106
    made, end = approle.take(), time.monotonic() + 3
    while time.monotonic() < end:
        works(approle, made)
        time.sleep(0.01)
    assert logins(site) >= 1


def test_while_no_new_login_works_the_old_token_does(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine, token_ttl="3s")  # noqa: S106
    made = approle.take()
    assert approle.access.secret_id_file is not None
    secret(approle.access.secret_id_file, "another")
    end = time.monotonic() + 2.6
    while time.monotonic() < end:
        works(approle, made)
        time.sleep(0.05)


def test_a_token_dies_and_no_login_is_possible(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    made = approle.take()
    assert approle.access.secret_id_file is not None
    good = approle.access.secret_id_file.read_text()
    secret(approle.access.secret_id_file, "another")
    revoke(approle)
    for _ in range(3):
        with pytest.raises(AwayError) as caught:
            approle.wrap(made)
        assert caught.value.fault is faults.TRANSIT_LOGIN
        assert good not in str(caught.value) + caught.value.detail
        assert "another" not in caught.value.detail
    secret(approle.access.secret_id_file, good)
    eventually(lambda: heals(approle, made), within=30)


def heals(site: Site, made: Made) -> bool:
    try:
        works(site, made)
    except AwayError:
        return False
    return True


def test_a_refused_login_is_not_tried_at_every_call(
    site: Site, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(access: Access, client: Client, until: float) -> Token:
        asked.append(until)
        return log_in(access, client, until)

    monkeypatch.setattr(session, "log_in", counted)
    approle = by_approle(site, make_engine)
    assert approle.access.secret_id_file is not None
    secret(approle.access.secret_id_file, "another")
    for _ in range(50):
        assert refused(approle.take) is faults.TRANSIT_LOGIN
    assert len(asked) == 1


def test_a_policy_that_lacks_something_does_not_make_tokens(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    made = approle.take()
    site.server.policy(site.key, 'path "nothing" { capabilities = ["deny"] }')
    for _ in range(20):
        with pytest.raises(AwayError) as caught:
            approle.wrap(made)
        assert caught.value.fault is faults.TRANSIT_DENIED
    assert logins(site) <= 2


def test_a_role_whose_tokens_die_in_the_middle_is_refused(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine, token_num_uses=50)
    assert refused(approle.take) is faults.TRANSIT_LOGIN


def test_a_token_file_is_read_again_when_it_changes(site: Site) -> None:
    made = site.take()
    old = site.access.token_file.read_text() if site.access.token_file else ""
    for _ in range(3):
        site.token(site.server.token(site.key))
        works(site, made)
    site.server.api("POST", "auth/token/revoke", {"token": old})
    works(site, made)


def test_a_token_that_is_dead_in_the_file_is_denied_until_it_is_exchanged(site: Site) -> None:
    made = site.take()
    assert site.access.token_file is not None
    site.server.api("POST", "auth/token/revoke", {"token": site.access.token_file.read_text()})
    with pytest.raises(AwayError) as caught:
        site.wrap(made)
    assert caught.value.fault is faults.TRANSIT_DENIED
    site.token(site.server.token(site.key))
    works(site, made)


@pytest.mark.parametrize(
    "what", ["missing", "for all to read", "a directory", "empty", "two words", "not ASCII"]
)
def test_a_file_that_is_no_secret_is_refused_and_not_quoted(
    site: Site, make_engine: MakeEngine, what: str
) -> None:
    path = site.directory / "odd"
    match what:
        case "for all to read":
            secret(path, "s.secret").chmod(0o644)
        case "a directory":
            path.mkdir()
        case "missing":
            pass
        case _:
            secret(path, {"empty": "\n", "two words": "s.secret s.secret", "not ASCII": "s.secrét"}[what])
    engine = make_engine(replace(site.access, token_file=path))
    engine.open(site.directory, site.take().state)
    with pytest.raises(AwayError) as caught:
        engine.wrap(f"transit/{site.key}:1", b"plaintext", b"aad")
    assert caught.value.fault is faults.TRANSIT_SECRET
    assert "s.secr" not in caught.value.detail
    assert str(path) in caught.value.detail


def test_no_secret_is_in_what_is_shown_of_anything(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    approle.take()
    held = [approle.engine, vars(approle.engine), *map(vars, vars(approle.engine).values())]
    inner = vars(vars(approle.engine)["keys"])
    held += [inner, *map(vars, (inner["_session"], inner["_client"]))]
    assert approle.access.secret_id_file is not None
    shown = repr(held)
    assert approle.access.secret_id_file.read_text() not in shown
    token = inner["_session"].token(time.monotonic() + 2)
    assert token not in shown
