from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.core.errors import UserError
from src.evaluation.comparison import compare, contests, in_words


def readers(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which images two classifiers read right, from how many both, one alone, and neither."""
    right = [(True, True)] * both + [(True, False)] * first
    right += [(False, True)] * second + [(False, False)] * neither
    one, other = zip(*right, strict=True)
    return np.array(one), np.array(other)


def test_a_comparison_worked_by_hand() -> None:
    found = compare(*readers(both=80, first=2, second=9, neither=9))
    assert (found.n, found.only_first, found.only_second) == (100, 2, 9)
    assert found.difference == pytest.approx(0.07)
    # Two-sided binomial: at most 2 of 11, or at least 9, at one half each.
    assert found.p == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    # Agresti and Min: 9.5 and 2.5 of 102; that it leaves 0 out is more than the test finds.
    half_width = 1.959964 * (12 - 7**2 / 102) ** 0.5 / 102
    assert 7 / 102 - half_width > 0
    assert (found.low, found.high) == pytest.approx((0, 7 / 102 + half_width))
    more = compare(*readers(both=80, first=2, second=12, neither=6))
    half_width = 1.959964 * (15 - 10**2 / 102) ** 0.5 / 102
    assert (more.low, more.high) == pytest.approx((10 / 102 - half_width, 10 / 102 + half_width))


@pytest.mark.parametrize("n", [50, 355, 1000])
def test_verdict_and_interval_never_contradict_each_other(n: int) -> None:
    for first in range(20):
        for second in range(30):
            found = compare(*readers(n - first - second, first, second, 0))
            significant = "more than chance" in in_words("a", "b", found)
            assert significant == (not found.low <= 0 <= found.high), found
            assert not (significant and found.p >= 0.05)


def test_the_interval_holds_the_difference_in_95_of_100_draws() -> None:
    draw = np.random.default_rng(0)
    chances = [0.9, 0.02, 0.05, 0.03]
    held = 0
    for _ in range(1000):
        both, first, second, neither = draw.multinomial(300, chances)
        found = compare(*readers(both, first, second, neither))
        held += found.low <= 0.03 <= found.high
    assert 930 <= held <= 975


def test_equal_readers_do_not_differ() -> None:
    found = compare(*readers(10, 0, 0, 5))
    assert (found.difference, found.p) == (0, 1)
    assert found.low < 0 < found.high


def test_the_verdict_is_in_plain_words() -> None:
    better = in_words("base", "tuned", compare(*readers(80, 2, 15, 3)))
    assert better.startswith("tuned against base: +13.00 points")
    assert "of 100 images 15 better and 2 worse: more than chance" in better
    assert "no difference can be told" in in_words("a", "b", compare(*readers(80, 4, 11, 5)))


def table(folder: Path, actual: list[str], predicted: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "predictions_base_source.csv"
    pd.DataFrame({"actual": actual, "predicted": predicted}).to_csv(path, index=False)
    return path


def test_predictions_of_two_pipelines_are_compared_model_by_model(tmp_path: Path) -> None:
    """Also where a class is called what pandas takes for a missing value."""
    actual = ["NA", "b", "NA"]
    one = table(tmp_path / "one", actual, ["NA", "b", "b"])
    other = table(tmp_path / "other", actual, actual)
    name = one.name
    pipelines = {
        "A": {name: one, "predictions_mine_source.csv": one, "predictions_base_target.csv": one},
        "B": {name: other, "predictions_base_target.csv": one},
    }
    [contest] = contests(pipelines, "source")
    assert (contest.model, contest.test, contest.reference) == ("base", "source", "A")
    assert contest.accuracies["A"].value == pytest.approx(2 / 3)
    rival = contest.rivals["B"]
    assert (rival.n, rival.only_first, rival.only_second) == (3, 0, 1)
    assert (rival.p, rival.identical) == (rival.p_holm, False)
    assert in_words("A", "B", rival).startswith("B against A: +33.33 points")
    [same] = contests(pipelines, "target")
    assert same.rivals["B"].identical


def test_of_several_pipelines_each_is_compared_with_the_best(tmp_path: Path) -> None:
    """With p-values corrected for all pairs."""
    right = {"A": 60, "B": 72, "C": 80}
    tables = {
        name: {"predictions_base_source.csv": table(tmp_path / name, 100 * ["a"], predicted)}
        for name, count in right.items()
        if (predicted := count * ["a"] + (100 - count) * ["b"])
    }
    [contest] = contests(tables, "source")
    assert contest.reference == "C"
    assert {name: each.value for name, each in contest.accuracies.items()} == {
        "A": 0.6,
        "B": 0.72,
        "C": 0.8,
    }
    # Of the images on which two differ, all are better: p is 2 / 2^n, for n = 20, 12 and 8.
    assert contest.rivals["A"].p_holm == pytest.approx(3 * 2 / 2**20)
    assert contest.rivals["B"].p_holm == pytest.approx(2 / 2**8)
    assert contest.rivals["B"].difference == pytest.approx(-0.08)


@pytest.mark.parametrize("actual", [["a"], ["a", "b"]])
def test_predictions_of_other_images_are_refused(tmp_path: Path, actual: list[str]) -> None:
    one = table(tmp_path / "one", ["a", "a"], ["a", "a"])
    other = table(tmp_path / "other", actual, actual)
    with pytest.raises(UserError, match=r"predictions_base_source\.csv of B: other images"):
        contests({"A": {one.name: one}, "B": {one.name: other}}, "source")
