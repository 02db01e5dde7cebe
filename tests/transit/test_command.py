"""`kleidi transit`: what it prints, what it finds, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import Exit, KleidiError
from appliance.settings import load
from appliance.transit.access import Access
from appliance.transit.policy import policy
from tests.cli.documents import check
from tests.reference import CHECKOUT
from tests.transit.conftest import MakeEngine, Site, by_approle, secret
from tests.usage.authority import Authority

MORE = 'path "transit/encrypt/{}" {{ capabilities = ["create"] }}'


def kleidi(site: Site, *arguments: str, **changed: object) -> subprocess.CompletedProcess[str]:
    """With the site's settings; those that are None are left out."""
    given = {**vars(site.access), "addresses": ",".join(site.access.addresses), **changed}
    settings = {
        f"KLEIDI_TRANSIT_{name.upper()}": str(value) for name, value in given.items() if value is not None
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KLEIDI_")}
    command = [sys.executable, "-m", "appliance", "transit", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env=clean | settings, capture_output=True, text=True, timeout=60, check=False
    )


def found(site: Site, **changed: object) -> tuple[int, dict[str, tuple[str, str]]]:
    """How the check ended, and of each thing that was looked at the worst verdict with its fault."""
    done = kleidi(site, "check", "-o", "json", **changed)
    document = check(done.stdout)
    assert document["exit"] == done.returncode
    worst: dict[str, tuple[str, str]] = {}
    for each in document["findings"]:
        if each["verdict"] != "ok" or each["about"] not in worst:
            worst[each["about"]] = each["verdict"], each["id"]
    return done.returncode, worst


def test_the_policy_is_what_a_server_takes(site: Site) -> None:
    done = kleidi(site, "policy")
    assert (done.returncode, done.stdout) == (0, policy(site.access))
    site.server.policy(f"{site.key}-printed", done.stdout)


def test_all_is_well(site: Site, make_engine: MakeEngine) -> None:
    code, verdicts = found(by_approle(site, make_engine))
    assert verdicts == dict.fromkeys(
        ["node", "login", "rights", "key", "bound", "named", "latency"], ("ok", "")
    )
    assert code == Exit.OK
    shown = kleidi(site, "check").stdout.splitlines()
    assert len(shown) == 7
    assert shown[0].startswith(f"node        ok      {site.server.address.removeprefix('https://')}: active")


def test_a_token_that_may_too_much_is_a_warning(site: Site) -> None:
    site.token(site.server.root)
    code, verdicts = found(site)
    assert code == Exit.DEGRADED
    assert verdicts["login"] == ("warning", "E-TRANSIT-RIGHTS")
    assert verdicts["mount"] == ("warning", "E-TRANSIT-UPSERT")
    site.server.policy(f"{site.key}-more", MORE.format(site.key))
    site.token(site.server.token(site.key, f"{site.key}-more"))
    assert found(site)[1]["rights"] == ("warning", "E-TRANSIT-RIGHTS")


def test_each_trouble_is_named_and_ends_with_its_code(site: Site, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").certificate
    for changed, about, fault in (
        ({"ca_file": other}, "node", faults.TRANSIT_TLS),
        ({"addresses": "https://127.0.0.1:1"}, "node", faults.TRANSIT_AWAY),
        ({"token_file": tmp_path / "none"}, "login", faults.TRANSIT_SECRET),
        ({"token_file": secret(tmp_path / "dead", "s.dead")}, "key", faults.TRANSIT_DENIED),
        ({"key": "another"}, "rights", faults.TRANSIT_DENIED),
        ({"mount": "nowhere"}, "rights", faults.TRANSIT_DENIED),
        ({"addresses": None, "token_file": None}, "address", faults.TRANSIT_UNSET),
    ):
        code, verdicts = found(site, **changed)
        assert verdicts.get(about) == ("failed", fault.id), (changed, verdicts)
        assert code == fault.exit


def test_a_key_that_is_unfit_or_missing_is_told(site: Site) -> None:
    site.token(site.server.root)
    site.server.create_key(f"{site.key}-open", exportable=True)
    assert found(site, key=f"{site.key}-open")[1]["key"] == ("failed", "E-TRANSIT-KEY-UNFIT")
    assert found(site, key=f"{site.key}-none")[1]["key"] == ("failed", "E-TRANSIT-KEY-GONE")


def test_an_address_inside_the_cluster_is_told(site: Site) -> None:
    address = f"{site.access.addresses[0]},https://vault.vault.svc:8200"
    code, verdicts = found(site, addresses=address)
    assert verdicts["address"] == ("warning", "E-TRANSIT-INSIDE")
    assert verdicts["node"] == ("failed", "E-TRANSIT-AWAY")
    assert code == faults.TRANSIT_AWAY.exit
    assert verdicts["latency"] == ("ok", "")


def test_rotating_takes_the_operators_token_and_no_other(site: Site, tmp_path: Path) -> None:
    theirs = secret(tmp_path / "theirs", site.server.root)
    done = kleidi(site, "rotate", "--token-file", str(theirs), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert check(done.stdout)["version"] == 2
    assert site.access.token_file is not None
    done = kleidi(site, "rotate", "--token-file", str(site.access.token_file))
    assert done.returncode == faults.TRANSIT_DENIED.exit
    done = kleidi(site, "rotate", "--token-file", str(theirs), addresses=None, token_file=None)
    assert done.returncode == faults.TRANSIT_UNSET.exit


def test_no_secret_is_printed(site: Site, make_engine: MakeEngine) -> None:
    approle = by_approle(site, make_engine)
    assert approle.access.secret_id_file is not None
    for arguments in (["check"], ["check", "-o", "json"], ["policy"]):
        done = kleidi(approle, *arguments)
        assert approle.access.secret_id_file.read_text() not in done.stdout + done.stderr
        assert "s." not in json.dumps(done.stderr)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ADDRESSES": "http://127.0.0.1:8200"}, "https://"),
        ({"ADDRESSES": "127.0.0.1:8200"}, "is not like https://"),
        ({"ADDRESSES": "https://user:word@host:8200"}, "is not like https://"),
        ({"ADDRESSES": "https://host:8200/v1"}, "is not like https://"),
        ({"ADDRESSES": "https://host:99999"}, "KLEIDI_TRANSIT_ADDRESSES"),
        ({"ADDRESSES": "https://host, https://host:8200"}, "twice"),
        ({"ADDRESSES": "https://host:8200"}, "needs KLEIDI_TRANSIT_TOKEN_FILE"),
        ({"ADDRESSES": "https://host:8200", "AUTH": "approle"}, "needs KLEIDI_TRANSIT_ROLE_ID_FILE"),
        (
            {"ADDRESSES": "https://host:8200", "AUTH": "cert", "CERT_FILE": "/c"},
            "needs KLEIDI_TRANSIT_KEY_FILE",
        ),
        ({"AUTH": "approle", "TOKEN_FILE": "/t"}, "KLEIDI_TRANSIT_TOKEN_FILE contradicts"),
        ({"AUTH": "kubernetes"}, "kubernetes is not offered: the server would ask this API server"),
        ({"AUTH": "userpass"}, "must be token, approle, cert"),
        ({"MOUNT": "a/../b"}, "KLEIDI_TRANSIT_MOUNT"),
        ({"KEY": "a/b"}, "KLEIDI_TRANSIT_KEY"),
        ({"KEY": "a:1"}, "KLEIDI_TRANSIT_KEY"),
        ({"SERVER_NAME": "a b"}, "KLEIDI_TRANSIT_SERVER_NAME"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("KLEIDI_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(f"KLEIDI_TRANSIT_{name}", value)
    with pytest.raises(KleidiError) as caught:
        load()
    assert caught.value.fault is faults.CONFIG
    assert named in caught.value.detail
    assert "word" not in caught.value.detail


def test_the_engines_values_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KLEIDI_")]:
        monkeypatch.delenv(name)
    assert Access.of(load()) == Access()
    monkeypatch.setenv("KLEIDI_ENGINE", "transit")
    with pytest.raises(KleidiError, match="needs KLEIDI_TRANSIT_ADDRESSES"):
        load()
    monkeypatch.setenv("KLEIDI_TRANSIT_ADDRESSES", "https://one, https://[fd00::1]:8300")
    monkeypatch.setenv("KLEIDI_TRANSIT_TOKEN_FILE", "/run/token")
    access = Access.of(load())
    assert access.addresses == ("https://one:8200", "https://[fd00::1]:8300")
    assert access.token_file == Path("/run/token")
