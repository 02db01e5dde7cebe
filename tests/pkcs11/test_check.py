"""`kleidi hsm check`: what it says of real tokens, and with which exit code it ends."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.faults import Exit
from appliance.pkcs11.check import check
from appliance.pkcs11.options import Pkcs11Options
from softhsm.pkcs11.constants import (
    CKM_AES_GCM,
    CKM_RSA_PKCS_OAEP,
    CKM_SHA256,
    CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
    CKO_SECRET_KEY,
    Cka,
    TokenFlag,
)
from tests.cli import documents
from tests.docs.pages import without_settings
from tests.pkcs11 import fake_token, places
from tests.pkcs11.fake_token import FakeToken
from tests.pkcs11.places import Place
from tests.reference import CHECKOUT


def typed(options: Pkcs11Options, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = {
        "KLEIDI_PKCS11_MODULE": str(options.module),
        "KLEIDI_PKCS11_TOKEN": f"label={options.label}",
        "KLEIDI_PKCS11_PIN_FILE": str(options.pin_file),
        "KLEIDI_PKCS11_PARAMETERS": options.parameters,
    }
    return subprocess.run(
        [sys.executable, "-m", "appliance", "hsm", "check", *arguments],
        cwd=CHECKOUT,
        env={**without_settings(), **{name: value for name, value in places.items() if value}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


KEYS = (CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY)


def objects(place: Place) -> int:
    device = place.device()
    try:
        return device.run(lambda _, session: sum(len(session.find(kind=kind)) for kind in KEYS))
    finally:
        device.close()


def test_a_good_token_is_told_and_nothing_is_left_in_it(real: Place) -> None:
    assert real.options is not None
    before = objects(real)
    done = typed(real.options, "-o", "json")
    found: dict[str, Any] = documents.check(done.stdout)
    assert done.returncode == found["exit"] == (Exit.DEGRADED if found["findings"] else Exit.OK)
    assert (found["login"], found["label"]) == (True, real.options.label)
    assert found["nonces"] in ("ours", "module")
    assert found["serves"] == ["engine", "slot"]
    assert found["oaep"] in ("sha256", "sha1")
    assert objects(real) == before
    # NSS says of no key that it was made there.
    loose: dict[str, list[str]] = {"softhsm": [], "nss": ["LOCAL"]}
    assert found["loose"] == loose.get(real.name, found["loose"])
    assert "AES-GCM     yes, nonces " in typed(real.options).stdout


@pytest.mark.parametrize(
    ("change", "fault", "code"),
    [
        ({"module": Path("/opt/none.so")}, "E-PKCS11-MODULE", Exit.ERROR),
        ({"label": "another"}, "E-PKCS11-TOKEN", Exit.UNREACHABLE),
        ({"pin_file": Path("/opt/none")}, "E-PKCS11-PIN", Exit.WRONG_KEY),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(
    change: dict[str, Any], fault: str, code: Exit, real: Place
) -> None:
    assert real.options is not None
    done = typed(replace(real.options, **change), "-o", "json")
    found = documents.check(done.stdout)
    assert done.returncode == found["exit"] == code
    assert [each["id"] for each in found["findings"]] == [fault]
    assert not found["login"]


def test_without_a_module_it_says_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "hsm", "check", "-o", "json"],
        cwd=CHECKOUT,
        env=without_settings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == Exit.UNREACHABLE
    assert json.loads(done.stdout)["id"] == "E-PKCS11-UNSET"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeToken:
    token = FakeToken()
    monkeypatch.setattr("appliance.pkcs11.module_file.load", lambda _: token.functions)
    return token


@pytest.fixture
def options(tmp_path: Path) -> Pkcs11Options:
    pin = places.pin_file(tmp_path, fake_token.PIN.decode())
    return places.options(tmp_path / "fake.so", fake_token.LABEL, pin)


def test_whose_nonces_they_are_is_found_out(fake: FakeToken, options: Pkcs11Options) -> None:
    assert check(options).nonces == "ours"
    fake.draws = True
    assert (check(options).nonces, check(options).exit) == ("module", Exit.OK)
    assert fake.objects == {}
    assert not fake.initialized


@pytest.mark.parametrize(
    ("lacks", "serves", "found"),
    [
        ({CKM_AES_GCM}, ["slot"], ["E-PKCS11-NO-GCM"]),
        ({CKM_RSA_PKCS_OAEP}, ["engine"], ["E-PKCS11-NO-OAEP"]),
        ({CKM_AES_GCM, CKM_RSA_PKCS_OAEP}, [], ["E-PKCS11-NO-GCM", "E-PKCS11-NO-OAEP"]),
    ],
)
def test_what_a_token_serves_for_is_told(
    fake: FakeToken, options: Pkcs11Options, lacks: set[int], serves: list[str], found: list[str]
) -> None:
    fake.lacks = lacks
    done = check(options)
    assert (done.exit, done.login) == (Exit.DEGRADED if serves else Exit.REFUSED, True)
    assert done.serves == serves
    assert [each.id for each in done.findings] == found
    assert (done.nonces == "none", done.oaep == "none") == ("engine" not in serves, "slot" not in serves)
    assert fake.objects == {}


def test_an_attribute_of_either_that_is_otherwise_is_told(fake: FakeToken, options: Pkcs11Options) -> None:
    keep = fake.keep
    fake.keep = lambda key, values: keep(key, values | {Cka.SIGN: b"\1"})  # type: ignore[method-assign]
    found = check(options)
    assert (found.exit, found.loose, found.serves) == (Exit.DEGRADED, ["SIGN"], ["engine", "slot"])
    assert [(each.id, each.detail) for each in found.findings] == [("E-PKCS11-KEY-LOOSE", "SIGN")]


def test_the_better_hash_is_told_and_none_is_no_slot(fake: FakeToken, options: Pkcs11Options) -> None:
    assert check(options).oaep == "sha256"
    del fake.hashes[CKM_SHA256]
    assert check(options).oaep == "sha1"
    fake.hashes.clear()
    assert (check(options).oaep, check(options).serves) == ("none", ["engine"])
    assert fake.objects == {}


def test_the_last_try_of_a_pin_is_not_spent_on_a_check(fake: FakeToken, options: Pkcs11Options) -> None:
    fake.flags |= TokenFlag.USER_PIN_FINAL_TRY
    found = check(options)
    assert fake.calls["C_Login"] == 0
    assert {each.id for each in found.findings} == {"E-PKCS11-PIN-LOW", "E-PKCS11-PIN-LOCKED"}
    assert found.exit == Exit.WRONG_KEY


def test_a_pin_with_few_tries_left_is_a_warning(fake: FakeToken, options: Pkcs11Options) -> None:
    fake.flags |= TokenFlag.USER_PIN_COUNT_LOW
    found = check(options)
    assert (found.exit, found.login) == (Exit.DEGRADED, True)


def test_few_sessions_are_told(fake: FakeToken, options: Pkcs11Options) -> None:
    fake.max_sessions = 1
    found = check(options)
    assert (found.exit, found.max_sessions) == (Exit.OK, 1)
