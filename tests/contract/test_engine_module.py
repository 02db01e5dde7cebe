"""A module that cannot be used is told as that by all that an engine does, here or in another process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.engine import SoftHsmEngine
from appliance.faults import Fault, KleidiError
from appliance.keys.keyset import Key, KeySet, KeyState
from appliance.volume.payload import FoundToken, TokenImage

IMAGE = TokenImage("0123456789abcdef", {"a/token.object": b"never read"}, "user pin")
KEYS = KeySet("0123456789ab", (Key("0123456789ab", 1, KeyState.PRIMARY, "00" * 16, b"known answer"),))
FOUND = FoundToken({"a/token.object": b"never read"}, "1234", "", "label")


@pytest.fixture(params=["missing", "unusable"])
def module(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Fault]:
    path = tmp_path / "module.so"
    if request.param == "missing":
        return path, faults.MODULE_MISSING
    path.write_bytes(b"not a library.\n")
    return path, faults.MODULE_UNUSABLE


@pytest.mark.parametrize(
    "act",
    [
        lambda engine, scratch: engine.make(scratch, "00" * 16),
        lambda engine, scratch: engine.extend(scratch, IMAGE, "00" * 16),
        lambda engine, scratch: engine.reduce(scratch, IMAGE, "00" * 16),
        lambda engine, scratch: engine.prove(scratch, IMAGE, KEYS),
        lambda engine, scratch: engine.adopt(scratch, IMAGE, FOUND),
        lambda engine, scratch: engine.open(scratch, IMAGE),
    ],
    ids=["make", "extend", "reduce", "prove", "adopt", "open"],
)
def test_the_fault_is_the_modules(
    act: Callable[[SoftHsmEngine, Path], object],
    module: tuple[Path, Fault],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, fault = module
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(KleidiError) as caught:
        act(SoftHsmEngine(path), scratch)
    assert caught.value.fault is fault
    assert caught.value.detail.startswith(f"{path} is not ")
    assert capfd.readouterr() == ("", "")
