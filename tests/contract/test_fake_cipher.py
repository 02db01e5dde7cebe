import secrets

import pytest

from appliance.keys.cipher import Cipher
from tests.contracts import CipherContract
from tests.fakes import FakeCipher


class TestFakeCipher(CipherContract):
    @pytest.fixture
    def keys(self) -> list[str]:
        return [secrets.token_hex(16), secrets.token_hex(16)]

    @pytest.fixture
    def cipher(self, keys: list[str]) -> Cipher:
        return FakeCipher({key: secrets.token_bytes(32) for key in keys})
