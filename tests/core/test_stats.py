from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from src.core.stats import holm, mcnemar


def images(*parts: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Parts of images: how many, and how often the first and the second read them right."""
    first = np.concatenate([np.full(count, right) for count, right, _ in parts])
    second = np.concatenate([np.full(count, right) for count, _, right in parts])
    return first, second


def test_mcnemar_counts_the_images_that_only_one_reads_right() -> None:
    first, second = images((300, 1, 1), (10, 0, 0), (12, 1, 0), (3, 0, 1))
    assert mcnemar(first, second) == pytest.approx(binomtest(3, 15).pvalue)
    assert mcnemar(first, second) == pytest.approx(0.03515625)  # 2 * P(at most 3 of 15 heads)


def test_it_is_the_same_from_the_other_side() -> None:
    first, second = images((12, 1, 0), (3, 0, 1), (5, 1, 1))
    assert mcnemar(first, second) == mcnemar(second, first)


def test_equal_predictions_differ_by_nothing() -> None:
    first, second = images((50, 1, 1), (2, 0, 0))
    assert mcnemar(first, second) == 1.0


def test_more_trainings_are_not_more_images() -> None:
    once, other = images((300, 1, 1), (6, 1, 0), (1, 0, 1))
    assert mcnemar(5 * once, 5 * other) == mcnemar(once, other)


def test_an_image_counts_for_the_one_that_reads_it_right_more_often() -> None:
    first, second = images((8, 5, 3), (1, 2, 4), (40, 5, 5))
    assert mcnemar(first, second) == pytest.approx(binomtest(1, 9).pvalue)


def test_holm_worked_by_hand() -> None:
    # The smallest times 4, the next times 3 and so on; none below one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.4]) == pytest.approx([0.9, 0.8])
    assert holm([0.6, 0.7, 0.8]) == [1, 1, 1]
    assert holm([0.03]) == [0.03]


@given(st.lists(st.floats(0, 1), max_size=8), st.randoms())
def test_holm_is_at_most_bonferroni_and_keeps_the_order(p: list[float], draw: Random) -> None:
    corrected = holm(p)
    assert all(one <= more <= min(1, len(p) * one) for one, more in zip(p, corrected, strict=True))
    assert sorted(corrected) == [corrected[place] for place in np.argsort(p, kind="stable")]
    order = draw.sample(range(len(p)), len(p))
    assert holm([p[place] for place in order]) == [corrected[place] for place in order]
