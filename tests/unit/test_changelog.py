"""What is released is dated, under the version that the program tells."""

import re

from appliance import __version__
from tests.reference import CHECKOUT

RELEASED = r"\d+\.\d+\.\d+ — \d{4}-\d\d-\d\d"
SECTIONS = re.findall(r"^## (.*)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_newest_release_is_this_version() -> None:
    unreleased, newest, *older = SECTIONS
    assert unreleased == "Unreleased"
    assert newest.split(" — ")[0] == __version__
    assert all(re.fullmatch(RELEASED, section) for section in (newest, *older))
