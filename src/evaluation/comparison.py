"""Two classifiers on the same images: how they differ, and whether that is more than chance."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.core.stats import mcnemar
from src.core.tables import write_csv
from src.evaluation.predictions import Evaluations

# Whose difference is told, and on which test images.
PAIRS = (
    ("base", "finetuned", "source"),
    ("base", "finetuned", "target"),
    ("scratch", "finetuned", "target"),
)
CHANCE = 0.05  # a difference that equal classifiers show less often counts as one
Z = 1.959964  # 95 % of a normal distribution are within so many deviations


@dataclass(frozen=True)
class Comparison:
    """Of `n` images each reads some right that the other does not.

    difference: accuracy of the second less that of the first, between low and high (95 %);
    p: the chance, 0 to 1, that equally good classifiers differ at least so.
    """

    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float


def write_comparisons(evaluations: Evaluations, folder: Path) -> str:
    """How the models differ on the same test images: a table, and what is returned, in words."""
    rows, sentences = [], []
    for first, second, role in PAIRS:
        found = compare(evaluations[first][role].right, evaluations[second][role].right)
        rows.append({"first": first, "second": second, "test": role, **vars(found)})
        sentences.append(f"on {role}, {in_words(first, second, found)}")
    write_csv(pd.DataFrame(rows), folder / "comparisons.csv")
    return "\n".join(sentences)


def compare_predictions(
    first: str, first_files: Path, second: str, second_files: Path, role: str
) -> str:
    """Every model that both pipelines tested on the data of this role, a line each.

    The folders are those that the evaluate stage wrote, for the same test images.
    """
    lines = []
    for path in sorted(first_files.glob(f"predictions_*_{role}.csv")):
        other = second_files / path.name
        if other.exists():
            model = path.stem.removeprefix("predictions_").removesuffix(f"_{role}")
            found = compare(_right(path), _right(other))
            lines.append(f"{model} on {role}, {in_words(first, second, found)}")
    return "\n".join(lines)


def _right(predictions: Path) -> np.ndarray:
    table = pd.read_csv(predictions, dtype=str, keep_default_na=False)
    right: np.ndarray = (table["actual"] == table["predicted"]).to_numpy()
    return right


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """first, second: bool [N], which images are read right.

    The interval is that of Agresti and Min, 2005, for paired proportions; p is McNemar's, exact,
    which is the more cautious: where it finds no difference, the interval is widened to hold 0.
    """
    n = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    # Half an image more in each of the four cells keeps the interval sound at small counts.
    gained, lost, total = only_second + 0.5, only_first + 0.5, n + 2
    centre = (gained - lost) / total
    reach = Z * math.sqrt(gained + lost - (gained - lost) ** 2 / total) / total
    low, high = max(-1.0, centre - reach), min(1.0, centre + reach)
    p = mcnemar(first, second)
    if p >= CHANCE:
        low, high = min(low, 0.0), max(high, 0.0)
    return Comparison(n, only_first, only_second, (only_second - only_first) / n, low, high, p)


def in_words(first: str, second: str, found: Comparison) -> str:
    """How the second of these models differs from the first, for people."""
    told = found.p < CHANCE and not found.low <= 0 <= found.high
    verdict = "more than chance" if told else "no difference can be told"
    return (
        f"{second} against {first}: {100 * found.difference:+.2f} points (95 % interval "
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}); of {found.n} images "
        f"{found.only_second} better and {found.only_first} worse: {verdict} "
        f"(McNemar's p {found.p:.2g})"
    )
