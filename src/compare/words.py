"""The differences between finished pipelines, in words and tables."""

import sys
from collections.abc import Mapping, Sequence

import pandas as pd

from src.compare.differences import Differences
from src.core.stats import ALPHA
from src.core.terminal import width
from src.evaluation import comparison
from src.evaluation.comparison import Contest
from src.tracking.revisions import Evaluated

SHOWN = 12  # characters of a commit or an id
MISSING = "-"
UNBOUNDED = 10_000  # columns of a file or a pipe


def in_words(found: Differences) -> str:
    """Parameters, metrics, and image by image what is more than chance."""
    origins = "\n".join(f"{name} is {_origin(each)}" for name, each in found.pipelines.items())
    if found.nothing():
        return f"{origins}\nnothing differs: the same parameters, metrics and predictions"
    contests = map(_contest, found.contests)
    paragraphs = [
        origins,
        _parameters(found),
        _metrics(found),
        "\n".join(_not_comparable(found, test) for test in found.apart),
        *(contests if len(found.pipelines) > 2 else ["\n".join(contests)]),
    ]
    return "\n\n".join(filter(None, paragraphs))


def _parameters(found: Differences) -> str:
    if not found.parameters:
        return "the parameters are the same"
    rows = [
        [key, *(str(values.get(name, MISSING)) for name in found.pipelines)]
        for key, values in found.parameters.items()
    ]
    return _table(["parameter", *found.pipelines], rows)


def _metrics(found: Differences) -> str:
    if not found.metrics:
        return "the metrics are the same"
    names = [*found.pipelines]
    rows = [
        [key, *(f"{values[name]:.4g}" if name in values else MISSING for name in names)]
        for key, values in found.metrics.items()
    ]
    if len(names) > 2:
        return _table(["metric", *names], rows)
    for row, (key, values) in zip(rows, found.metrics.items(), strict=True):
        row.append(_difference(found, key, values))
    return _table(["metric", *names, "difference"], rows)


def _difference(found: Differences, key: str, values: Mapping[str, float]) -> str:
    """Of values on the same images."""
    if len(values) < 2 or any(f".{test}." in key for test in found.apart):
        return MISSING
    return f"{values['B'] - values['A']:+.2g}"


def _not_comparable(found: Differences, test: str) -> str:
    told = " and of ".join(", ".join(group) for group in found.apart[test])
    reasons = [
        f"{key} is " + ", ".join(f"{value} in {name}" for name, value in values.items())
        for key, values in found.parameters.items()
        if key in found.reasons(test)
    ] or ["their parameters are the same, so their files or the code that reads them changed"]
    return f"on {test}, not comparable: the test images of {told} differ: {'; '.join(reasons)}"


def _origin(pipeline: Evaluated) -> str:
    if pipeline.run:
        return f"{pipeline.name}: run {pipeline.run[:SHOWN]} in MLflow"
    if pipeline.commit:
        return f"{pipeline.name}: commit {pipeline.commit[:SHOWN]}"
    return f"{pipeline.name}: the present results"


def _contest(contest: Contest) -> str:
    subject = f"{contest.model} on {contest.test}"
    if len(contest.rivals) > 1:
        return f"{subject}:\n{_ranking(contest)}"
    [(name, rival)] = contest.rivals.items()
    if rival.identical:
        return f"{subject}, {name} against {contest.reference}: the same predictions"
    return f"{subject}, {comparison.in_words(contest.reference, name, rival)}"


def _ranking(contest: Contest) -> str:
    rows = []
    for name, accuracy in contest.accuracies.items():
        low, value, high = (100 * part for part in (accuracy.low, accuracy.value, accuracy.high))
        row = [name, f"{value:.2f} % ({low:.2f} to {high:.2f})"]
        if name == contest.reference:
            rows.append([*row, "", "", "the best"])
            continue
        rival = contest.rivals[name]
        verdict = "more than chance" if rival.p_holm < ALPHA else "no difference can be told"
        if rival.identical:
            verdict = "the same predictions"
        rows.append([*row, f"{100 * rival.difference:+.2f}", f"{rival.p_holm:.2g}", verdict])
    return _table(["", "accuracy (95 % interval)", "points", "p (Holm)", "verdict"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As wide as the terminal at most, if the headings leave room: long cells are wrapped."""
    room = (width(sys.stdout) or UNBOUNDED) - 2 * len(head)
    # Above a column, tabulate leaves room for two more characters.
    least = [len(title) + 2 for title in head]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    most = max(widths)
    while (
        most > 10 and sum(max(x, min(y, most)) for x, y in zip(least, widths, strict=True)) > room
    ):
        most -= 1
    return pd.DataFrame(rows, columns=list(head)).to_markdown(
        index=False,
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left", *["right"] * (len(head) - 1)],
        maxcolwidths=[most] * len(head),
    )
