"""Intervals and tests of significance, all at one level."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, norm, t

ALPHA = 0.05  # a p-value below it is called significant; intervals cover 1 - ALPHA


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson, 1927), which stays sound near 0 and 1."""
    interval = binomtest(successes, trials).proportion_ci(1 - ALPHA, method="wilson")
    return float(interval.low), float(interval.high)


def student(values: ArrayLike) -> tuple[float, float]:
    """The 95 % interval of the mean of a sample (Student's t); NaN for fewer than two values."""
    sample = np.asarray(values, dtype=float)
    n = len(sample)
    if n < 2:
        return math.nan, math.nan
    mean = float(np.mean(sample))
    half_width = float(t.ppf(1 - ALPHA / 2, n - 1) * np.std(sample, ddof=1) / math.sqrt(n))
    return mean - half_width, mean + half_width


def paired(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two proportions on the same n images.

    only_first, only_second: images that one classifier predicts correctly and the other does not.
    Source: Agresti and Min, 2005.
    """
    # Half an image more in each of the four cells keeps the interval sound at small counts.
    gained, lost, total = only_second + 0.5, only_first + 0.5, n + 2
    centre = (gained - lost) / total
    variance = gained + lost - (gained - lost) ** 2 / total
    half_width = float(norm.ppf(1 - ALPHA / 2)) * math.sqrt(variance) / total
    return max(-1.0, centre - half_width), min(1.0, centre + half_width)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p-value that two classifiers are equally good on such images.

    first, second: for each image, bool or count [N], whether or how often it was predicted
    correctly. An image counts for the classifier that did better on it. The images are the sample,
    so several trainings of a classifier are counts, not more images; and the test is about these
    trainings: it does not say that others would differ, too.
    Source: McNemar, 1947; for counts this is the sign test over images.
    """
    better, worse = int((first > second).sum()), int((first < second).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """These p-values, corrected for being several; each is 0 to 1 and has kept its place.

    If no difference is real, the chance that any of them is below ALPHA is at most ALPHA.
    Source: Holm, 1979.
    """
    order = np.argsort(p_values)
    steps = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]
