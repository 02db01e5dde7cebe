"""Taking over another plugin's token: with SoftHSM, for the token is the point."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import faults
from appliance.cli.adopt import read_files
from appliance.engines.softhsm import SoftHsmEngine
from appliance.engines.softhsm.image import TokenImage
from appliance.keys.engine import SOFTHSM
from appliance.keys.found import FoundToken
from appliance.keys.keyset import KeyState
from appliance.ops.operations import Verb
from softhsm import Library
from tests.ops.shop import SEED, WAIT_SECONDS, Shop
from tests.token.foreign_program import PIN, ForeignProgram
from tests.volume.house import House, refused

LABEL = "kleidi-kms-plugin"
ANNOTATIONS = {"v2.kleidi.beezy.dev": b"1"}


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[ForeignProgram]:
    """A token as the original kleidi's init image makes it, one key on it."""
    directory = tmp_path / "foreign" / "tokens"
    directory.mkdir(parents=True)
    library = Library.find()
    program = ForeignProgram(library, directory)
    program.keygen(program.init_token("kleidi"), LABEL)
    yield program
    library.unload()


@pytest.fixture
def shop(foreign: ForeignProgram, house: House) -> Iterator[Shop]:
    assert foreign
    engine = SoftHsmEngine()
    yield Shop(house, engine)
    engine.close()


def brought(foreign: ForeignProgram, **changes: str) -> FoundToken:
    fields = {"pin": PIN, "token_label": "", "key_label": LABEL} | changes
    return FoundToken(read_files(foreign.tokens), **fields)


def contents(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


def test_what_they_wrote_opens_and_what_is_new_is_ours(shop: Shop, foreign: ForeignProgram) -> None:
    theirs, before = foreign.written(SEED, LABEL), contents(foreign.tokens)
    outcome = shop.adopt(brought(foreign))

    assert (outcome.key.id, outcome.key.name, outcome.key.state) == (LABEL, "v2", KeyState.RETIRED)
    assert "plaintext (CKA_PRIVATE false)" in outcome.said[-1]
    assert contents(foreign.tokens) == before
    with shop.keyring() as ring:
        assert ring.unwrap(LABEL, theirs, ANNOTATIONS) == SEED
        assert ring.wrap(SEED).key_id == shop.key("v1").id


def test_it_survives_every_change_after_it(shop: Shop, foreign: ForeignProgram) -> None:
    theirs, ours = foreign.written(SEED, LABEL), shop.wrap()
    shop.adopt(brought(foreign))
    shop.run(Verb.ROTATE)
    with shop.keyring() as ring:
        assert ring.unwrap(LABEL, theirs, ANNOTATIONS) == SEED
        assert ring.unwrap(ours.key_id, ours.envelope) == SEED


def test_in_the_end_it_is_destroyed_with_its_whole_token(shop: Shop, foreign: ForeignProgram) -> None:
    theirs = foreign.written(SEED, LABEL)
    shop.adopt(brought(foreign))
    shop.run(Verb.DISABLE, LABEL, stored=0)
    shop.clocks.go_on(WAIT_SECONDS)
    shop.run(Verb.DESTROY, "v2", typed=LABEL, stored=0)
    token = TokenImage.from_state(shop.storage.open().payload.state(SOFTHSM))
    assert not token.adopted_pins
    assert len({name.partition("/")[0] for name in token.files}) == 1
    with shop.keyring() as ring:
        assert refused(lambda: ring.unwrap(LABEL, theirs, ANNOTATIONS)) is faults.KEY_DESTROYED


def test_a_dry_run_tries_it_and_changes_nothing(shop: Shop, foreign: ForeignProgram) -> None:
    before = shop.house.snapshot()
    outcome = shop.adopt(brought(foreign), dry_run=True)
    assert outcome.said[0] == f"would make {LABEL} retired"
    assert shop.house.snapshot() == before


def test_a_second_time_is_refused(shop: Shop, foreign: ForeignProgram) -> None:
    shop.adopt(brought(foreign))
    assert refused(lambda: shop.adopt(brought(foreign))) is faults.KEY_ADOPTED_ALREADY


def test_the_mocks_label_and_any_other_with_its_annotation(shop: Shop, foreign: ForeignProgram) -> None:
    serial = foreign.init_token("mock")
    foreign.keygen(serial, "their own")
    found = brought(foreign, token_label="mock", key_label="their own")  # noqa: S106  no password
    assert refused(lambda: shop.adopt(found)) is faults.TOKEN_NOT_ADOPTED
    assert shop.adopt(found, "kms.example.org").key.id == "their own"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pin": "4321"}, "PIN"),
        ({"pin": ""}, "PIN"),
        ({"key_label": "kms-test"}, "kms-test"),
        ({"token_label": "nobody"}, "nobody"),
    ],
    ids=["wrong PIN", "no PIN", "wrong key label", "wrong token label"],
)
def test_what_does_not_fit_is_refused_with_a_hint(
    shop: Shop, foreign: ForeignProgram, changes: dict[str, str], said: str
) -> None:
    before = shop.house.snapshot()
    with pytest.raises(faults.KleidiError) as caught:
        shop.adopt(brought(foreign, **changes))
    assert caught.value.fault is faults.TOKEN_NOT_ADOPTED
    assert said.lower() in caught.value.detail.lower()
    assert len(str(caught.value).splitlines()) == 1
    assert shop.house.snapshot() == before


def test_of_two_tokens_of_one_label_none_is_taken(shop: Shop, foreign: ForeignProgram) -> None:
    foreign.init_token("kleidi")
    for label in ("", "kleidi"):
        with pytest.raises(faults.KleidiError) as caught:
            shop.adopt(brought(foreign, token_label=label))
        assert caught.value.fault is faults.TOKEN_NOT_ADOPTED
        assert "2 tokens" in caught.value.detail


@pytest.mark.parametrize("label", ["", "κλειδί", "a\tb"])
def test_a_label_that_could_be_no_key_id_is_refused(shop: Shop, foreign: ForeignProgram, label: str) -> None:
    found = brought(foreign, key_label=label)
    assert refused(lambda: shop.adopt(found, "kms.example.org")) is faults.TOKEN_NOT_ADOPTED


def damaged(foreign: ForeignProgram, how: str) -> None:
    (token,) = foreign.tokens.glob("*/token.object")
    (key,) = (path for path in foreign.tokens.glob("*/*.object") if path != token)
    match how:
        case "no token object":
            token.unlink()
        case "token object cut":
            token.write_bytes(token.read_bytes()[:40])
        case "no key":
            key.unlink()
        case "key cut":
            key.write_bytes(key.read_bytes()[:100])
        case "empty":
            shutil.rmtree(foreign.tokens)
            foreign.tokens.mkdir()


@pytest.mark.parametrize("how", ["no token object", "token object cut", "no key", "key cut", "empty"])
def test_a_damaged_directory_is_refused_and_nothing_changes(
    shop: Shop, foreign: ForeignProgram, how: str
) -> None:
    damaged(foreign, how)
    before = shop.house.snapshot()
    assert refused(lambda: shop.adopt(brought(foreign))) is faults.TOKEN_NOT_ADOPTED
    assert shop.house.snapshot() == before


def test_a_read_only_directory_is_no_obstacle(shop: Shop, foreign: ForeignProgram) -> None:
    for path in [*foreign.tokens.rglob("*"), foreign.tokens]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert shop.adopt(brought(foreign)).key.id == LABEL
    for path in [foreign.tokens, *foreign.tokens.rglob("*")]:
        path.chmod(0o700)


def test_the_tokens_own_directory_serves_as_well(shop: Shop, foreign: ForeignProgram) -> None:
    (own,) = foreign.tokens.iterdir()
    assert shop.adopt(FoundToken(read_files(own), PIN, "", LABEL)).key.id == LABEL


def test_what_no_softhsm_has_in_its_directory_is_refused(foreign: ForeignProgram, tmp_path: Path) -> None:
    (own,) = foreign.tokens.iterdir()
    (own / "a b").touch()
    assert refused(lambda: brought(foreign)) is faults.TOKEN_NOT_ADOPTED
    assert refused(lambda: read_files(tmp_path / "nowhere")) is faults.TOKEN_NOT_ADOPTED
    large = foreign.tokens / "large"
    with large.open("wb") as file:
        file.truncate(2 << 20)
    assert refused(lambda: read_files(foreign.tokens)) is faults.TOKEN_NOT_ADOPTED


def test_more_than_a_server_takes_at_once_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.object").write_bytes(bytes(1 << 20))
    with pytest.raises(faults.KleidiError, match="more than the 8 MiB") as caught:
        read_files(tmp_path)
    assert caught.value.fault is faults.TOKEN_NOT_ADOPTED
