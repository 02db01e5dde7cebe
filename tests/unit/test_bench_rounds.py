from tests.bench.rounds import Spread, in_turns, ratio


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    # The second round was noisy for both: it says the same.
    assert ratio([10, 100, 12], [20, 200, 20]) == 0.5


def test_a_spread_is_median_and_extremes() -> None:
    assert Spread.of([3, 1, 2, 9]) == Spread(2.5, 1, 9)


def test_each_round_begins_with_the_next_and_a_warm_up_does_not_count() -> None:
    order: list[str] = []

    def work(name: str) -> int:
        order.append(name)
        return len(order)

    found = in_turns(2, {"a": lambda: work("a"), "b": lambda: work("b"), "c": lambda: work("c")})
    assert "".join(order) == "cab" + "abc" + "bca"
    assert found == {"a": [4, 9], "b": [5, 7], "c": [6, 8]}
