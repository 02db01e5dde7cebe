"""The library that carries the calls: the right one, or one clear line about it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from appliance import faults
from appliance.faults import KleidiError
from appliance.service.transports.nghttp2 import library

_INFO = """
struct info { int age; int number; const char *text; const char *protocol; };
static struct info told = { 1, %s, "%s", "h2" };
struct info *%s(int least) { return &told; }
"""


def made(path: Path, number: int, text: str, function: str = "nghttp2_version") -> str:
    """A library of that version, which has nothing else."""
    compiler = shutil.which("cc")
    assert compiler, "make cc installs one"
    source = path.with_suffix(".c")
    source.write_text(_INFO % (number, text, function))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, source], check=True)
    return str(path)


def refusal(name: str) -> KleidiError:
    with pytest.raises(KleidiError) as caught:
        library.load(name)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_one_that_is_here_has_both_limits() -> None:
    assert library.load()


def test_one_that_is_not_there_is_missing() -> None:
    error = refusal("libnghttp2-of-nowhere.so.14")
    assert error.fault is faults.TRANSPORT_MISSING
    assert "libnghttp2-of-nowhere.so.14" in str(error)


def test_another_library_is_told_from_it() -> None:
    error = refusal("libm.so.6")
    assert error.fault is faults.TRANSPORT_MISSING
    assert "libm.so.6 is not libnghttp2" in str(error)


def test_a_file_that_is_no_library_is_missing(tmp_path: Path) -> None:
    (tmp_path / "libnghttp2.so.14").write_text("none")
    assert refusal(str(tmp_path / "libnghttp2.so.14")).fault is faults.TRANSPORT_MISSING


def test_an_older_one_is_refused_by_its_version(tmp_path: Path) -> None:
    error = refusal(made(tmp_path / "old.so", 0x012B00, "1.43.0"))
    assert error.fault is faults.TRANSPORT_OLD
    assert "is 1.43.0" in str(error)


def test_one_without_the_limits_is_refused_whatever_its_version(tmp_path: Path) -> None:
    error = refusal(made(tmp_path / "bare.so", 0x013400, "1.52.0"))
    assert error.fault is faults.TRANSPORT_OLD
    assert "1.52.0 has no nghttp2_option_set_stream_reset_rate_limit" in str(error)
