"""Tests of significance."""

import numpy as np
from scipy.stats import binomtest


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The chance, 0 to 1, that equally good classifiers differ at least so on so many images.

    first, second: for each image, bool or count [N], whether or how often it was read right. An
    image counts for the one that did better on it. What is drawn at random is the image, so
    several trainings of a classifier are counts, not more images; and the answer is of those
    trainings: that others would differ as well, it does not say. Exact and two-sided.
    Source: McNemar, 1947; for counts this is the sign test over images.
    """
    better, worse = int((first > second).sum()), int((first < second).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
