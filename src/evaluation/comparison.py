"""Two classifiers on the same images: how they differ, and whether by more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from src.core.errors import UserError, first_line
from src.core.finding import Finding
from src.core.stats import ALPHA, holm, mcnemar, paired, wilson
from src.evaluation.predictions import Evaluations
from src.evaluation.subjects import Subject, pairs


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


@dataclass(frozen=True)
class Rival(Comparison):
    """The same, of a pipeline in a contest.

    p_holm: p, corrected for all pairs in the contest (Holm); the interval is not. identical: every
    prediction and its confidence is the same.
    """

    p_holm: float
    identical: bool


@dataclass(frozen=True)
class Accuracy:
    """0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, correct: np.ndarray) -> Self:
        right, n = int(correct.sum()), len(correct)
        return cls(right / n, *wilson(right, n))


@dataclass(frozen=True)
class Contest:
    """One model on one test set, by pipelines: with the first of two, or the best of more.

    rivals: how each of the others differs from this reference.
    """

    model: str
    test: str
    accuracies: Mapping[str, Accuracy]
    reference: str
    rivals: Mapping[str, Rival]


def comparisons(subjects: Sequence[Subject], evaluations: Evaluations) -> Finding:
    """Every pair of subjects, as a table and in words."""
    rows, sentences = [], []
    for first, second, test in pairs(subjects):
        found = compare(evaluations[first][test].correct, evaluations[second][test].correct)
        sentences.append(f"on {test}, {in_words(first, second, found)}")
        pair = {"first": first, "second": second, "test": test}
        rows.append({**pair, **vars(found), "verdict": sentences[-1]})
    return Finding({"comparisons.csv": pd.DataFrame(rows)}, text="\n".join(sentences))


def contests(pipelines: Mapping[str, Mapping[str, Path]], test: str) -> list[Contest]:
    """Every model that several pipelines tested on this test set, with the same test images.

    Of each pipeline, the tables of predictions that the evaluate stage wrote, by file name.
    """
    names = sorted({name for tables in pipelines.values() for name in tables})
    found = []
    for name in names:
        if not name.endswith(f"_{test}.csv"):
            continue
        tables = {
            pipeline: _read(files[name]) for pipeline, files in pipelines.items() if name in files
        }
        if len(tables) > 1:
            _check_images(name, tables)
            model = name.removeprefix("predictions_").removesuffix(f"_{test}.csv")
            found.append(_contest(model, test, tables))
    return found


def _contest(model: str, test: str, tables: Mapping[str, pd.DataFrame]) -> Contest:
    correct = {
        name: (table["actual"] == table["predicted"]).to_numpy() for name, table in tables.items()
    }
    names = list(tables)
    reference = names[0] if len(names) == 2 else max(names, key=lambda name: correct[name].sum())
    # What is the same counts once. The best is known only afterwards: any two might be compared.
    same = {
        name: next(each for each in names if tables[each].equals(tables[name])) for name in names
    }
    pairs = [*combinations(dict.fromkeys(same.values()), 2)]
    corrected = holm([mcnemar(correct[one], correct[other]) for one, other in pairs])
    p_holm = {frozenset(pair): p for pair, p in zip(pairs, corrected, strict=True)}
    return Contest(
        model,
        test,
        {name: Accuracy.of(right) for name, right in correct.items()},
        reference,
        {
            name: Rival(
                **vars(compare(correct[reference], correct[name])),
                p_holm=p_holm.get(frozenset((same[reference], same[name])), 1.0),
                identical=same[name] == same[reference],
            )
            for name in names
            if name != reference
        },
    )


def _check_images(file: str, tables: Mapping[str, pd.DataFrame]) -> None:
    (first, table), *others = tables.items()
    for name, other in others:
        if not other["actual"].equals(table["actual"]):
            raise UserError(f"{file} of {name}: other images than that of {first}; one is damaged")


def _read(path: Path) -> pd.DataFrame:
    """A row per test image: its actual class, the predicted one, and more."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(f"{path}: not a table of predictions ({first_line(error)})") from error
    if not {"actual", "predicted"} <= {*table.columns}:
        raise UserError(f"{path}: not a table of predictions")
    return table


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
    verdict = "more than chance" if found.p < ALPHA else "no difference can be told"
    return (
        f"{second} against {first}: {100 * found.difference:+.2f} points (95 % interval "
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}); of {found.n} images "
        f"{found.only_second} better and {found.only_first} worse: {verdict} "
        f"(McNemar's p {found.p:.2g})"
    )
