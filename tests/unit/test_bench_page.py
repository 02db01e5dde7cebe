import pytest

from tests.bench.caller import Told
from tests.bench.kms.case import Case, Sample
from tests.bench.page import series
from tests.bench.page.written import HEAD, Picture, page, section

ORDER = ["calls", "boot", "memory"]


def test_a_section_has_its_circumstances_its_pictures_and_its_table() -> None:
    text = section(
        "Boot", "`make bench` on a machine", ["a   b  ", "  1 2"], [Picture("performance/x.svg", "X")]
    )
    assert text == (
        "## Boot\n\n`make bench` on a machine\n\n![X](performance/x.svg)\n\n```text\na   b\n  1 2\n```\n"
    )


def test_what_was_not_measured_again_stays() -> None:
    before = page("", {"boot": "old boot\n", "memory": "old memory\n"}, ORDER)
    after = page(before, {"memory": "new memory\n"}, ORDER)
    assert "old boot" in after
    assert "new memory" in after
    assert "old memory" not in after


def test_sections_stand_in_one_order_whenever_they_were_measured() -> None:
    late = page(page("", {"memory": "m\n"}, ORDER), {"calls": "c\n"}, ORDER)
    assert late == page("", {"calls": "c\n", "memory": "m\n"}, ORDER)
    assert late.startswith(HEAD)
    assert late.index("c\n<!-- /calls -->") < late.index("m\n<!-- /memory -->")


def test_a_section_that_is_no_more_goes() -> None:
    assert "old" not in page(page("", {"boot": "old\n"}, ORDER), {}, ["calls"])


def sample(first: int, histogram: list[int], rate: int = 1) -> Sample:
    return Sample(Told(rate, 0, {}, "", 1, 1, 1, 1, 1, first, histogram), 1)


def test_a_distribution_adds_up_all_rounds() -> None:
    points = series.distribution([sample(1, [1, 1]), sample(2, [1, 0, 1])])
    assert [share for _, share in points] == [0.25, 0.75, 0.75, 1.0]
    assert [length for length, _ in points] == pytest.approx([1.1**2, 1.1**3, 1.1**4, 1.1**5])


def test_growth_changes_one_thing_alone() -> None:
    results = {
        Case("Encrypt", 16): {"ours": [sample(0, [], 30)]},
        Case("Encrypt", 1): {"ours": [sample(0, [], 10)]},
        Case("Encrypt", 16, keys=1000): {"ours": [sample(0, [], 29)]},
        Case("Encrypt", 16, connections=4): {"ours": [sample(0, [], 28)]},
        Case("Decrypt", 16): {"ours": [sample(0, [], 99)]},
    }
    assert series.growth(results, "ours", Case("Encrypt"), "callers") == [(1, 10), (16, 30)]
    assert series.growth(results, "ours", Case("Encrypt", 16), "keys") == [(1, 30), (1000, 29)]
    assert series.growth(results, "nobody", Case("Encrypt", 16), "keys") == []
