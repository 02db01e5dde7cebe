"""A module that cannot be used is told as that by all that an engine does, here or in another process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import faults
from appliance.engines.softhsm import SoftHsmEngine
from appliance.engines.softhsm.image import TokenImage
from appliance.faults import Fault, KleidiError
from appliance.keys.engine import EngineState
from appliance.keys.found import FoundToken

STATE = TokenImage("0123456789abcdef", {"a/token.object": b"never read"}, "user pin").to_state()
KNOWN = {"00" * 16: b"kleidi/probe" + b"known answer"}
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
        lambda engine, scratch: engine.make(scratch, EngineState(), "00" * 16),
        lambda engine, scratch: engine.make(scratch, STATE, "00" * 16),
        lambda engine, scratch: engine.destroy(scratch, STATE, "00" * 16),
        lambda engine, scratch: engine.prove(scratch, STATE, KNOWN),
        lambda engine, scratch: engine.adopt(scratch, STATE, FOUND),
        lambda engine, scratch: engine.open(scratch, STATE),
    ],
    ids=["make", "make one more", "destroy", "prove", "adopt", "open"],
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
