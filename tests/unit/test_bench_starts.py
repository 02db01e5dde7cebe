from tests.bench.kms.sides import REFERENCE
from tests.bench.starts import Start, Starts, rows


def test_the_ratio_is_that_of_the_time_until_the_list_is_there() -> None:
    ours = Starts(3, [Start(1, 4), Start(1, 2), Start(1, 5)])
    reference = Starts(2, [Start(1, 2), Start(1, 2), Start(1, 2)])
    _, measured, beside = rows({1000: {"ours": ours, REFERENCE: reference}})
    assert measured.split() == [
        *("ours", "1,000", "1.00", "4.00", "(2.00", "-", "5.00)", "2.00x", "<=", "1.00x", "3.00"),
    ]
    assert "x" not in beside
