"""Two classifiers on the same images: how they differ, and whether by more than chance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.core.finding import Finding
from src.core.stats import ALPHA, mcnemar, paired
from src.evaluation.predictions import Evaluations
from src.evaluation.subjects import PAIRS


@dataclass(frozen=True)
class Comparison:
    """How a second classifier differs from a first one on the same n images.

    only_first, only_second: images that this one alone predicts correctly. difference: accuracy of
    the second less that of the first, with its 95 % interval from low to high. p: exact two-sided
    p-value, 0 to 1.
    """

    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float


def comparisons(evaluations: Evaluations) -> Finding:
    """Every pair of subjects, as a table and in words."""
    rows, sentences = [], []
    for first, second, test in PAIRS:
        found = compare(evaluations[first][test].correct, evaluations[second][test].correct)
        sentences.append(f"on {test}, {in_words(first, second, found)}")
        pair = {"first": first, "second": second, "test": test}
        rows.append({**pair, **vars(found), "verdict": sentences[-1]})
    return Finding({"comparisons.csv": pd.DataFrame(rows)}, text="\n".join(sentences))


def compare_predictions(
    first: str, first_files: Path, second: str, second_files: Path, test: str
) -> str:
    """Every model that both pipelines tested on this test set, a line each.

    The folders are those that the evaluate stage wrote, for the same test images.
    """
    lines = []
    for path in sorted(first_files.glob(f"predictions_*_{test}.csv")):
        other = second_files / path.name
        if other.exists():
            model = path.stem.removeprefix("predictions_").removesuffix(f"_{test}")
            found = compare(_correct(path), _correct(other))
            lines.append(f"{model} on {test}, {in_words(first, second, found)}")
    return "\n".join(lines)


def _correct(predictions: Path) -> np.ndarray:
    table = pd.read_csv(predictions, dtype=str, keep_default_na=False)
    correct: np.ndarray = (table["actual"] == table["predicted"]).to_numpy()
    return correct


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """first, second: bool [N], which images are predicted correctly.

    McNemar's exact test is the more cautious of the two: where it finds no difference, the interval
    is widened to include 0.
    """
    n = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    low, high = paired(only_first, only_second, n)
    p = mcnemar(first, second)
    if p >= ALPHA:
        low, high = min(low, 0.0), max(high, 0.0)
    return Comparison(n, only_first, only_second, (only_second - only_first) / n, low, high, p)


def in_words(first: str, second: str, found: Comparison) -> str:
    """How the second of these models differs from the first."""
    significant = found.p < ALPHA and not found.low <= 0 <= found.high
    verdict = "more than chance" if significant else "no difference can be told"
    return (
        f"{second} against {first}: {100 * found.difference:+.2f} points (95 % interval "
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}); of {found.n} images "
        f"{found.only_second} better and {found.only_first} worse: {verdict} "
        f"(McNemar's p {found.p:.2g})"
    )
