import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import softhsm
from appliance.engine import SoftHsmEngine
from appliance.keys.cipher import CipherLostError
from appliance.volume import memory
from appliance.volume.payload import TokenImage
from tests.contracts import AAD, NONCE, CipherContract


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return [secrets.token_hex(16), secrets.token_hex(16)]


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    base = Path("/dev/shm") / f"kleidi-test-{secrets.token_hex(6)}"  # noqa: S108  where tokens live
    with memory.room(base) as directory:
        yield directory
    base.rmdir()


@pytest.fixture(scope="module")
def image(room: Path, keys: list[str]) -> TokenImage:
    """A token of the engine's making, with a second key on it."""
    try:
        library = softhsm.Library.find()
    except softhsm.ModuleMissingError:
        if "CI" in os.environ:
            raise
        pytest.skip("SoftHSM is not installed")
    image, _ = SoftHsmEngine().make(room, keys[0])
    tokens = room / "new"
    library.load(tokens)
    session = library.find_token(image.serial).open(image.user_pin)
    session.generate(keys[1], "second")
    session.close()
    library.unload()
    return TokenImage(image.serial, memory.collect(tokens), image.user_pin)


@pytest.fixture(scope="module")
def cipher(room: Path, image: TokenImage) -> Iterator[SoftHsmEngine]:
    engine = SoftHsmEngine()
    engine.open(room, image)
    yield engine
    engine.close()


class TestSoftHsmEngine(CipherContract):
    def test_a_closed_engine_has_lost_its_keys_until_it_is_opened_again(
        self, cipher: SoftHsmEngine, keys: list[str], room: Path, image: TokenImage
    ) -> None:
        before = cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
        cipher.close()
        with pytest.raises(CipherLostError):
            cipher.encrypt(keys[0], NONCE, b"plaintext", AAD)
        with memory.room(room.parent) as another:
            cipher.open(another, image)
            assert cipher.encrypt(keys[0], NONCE, b"plaintext", AAD) == before
            cipher.close()
