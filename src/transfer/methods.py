"""Ways to move a model to other data, by how many labels there are, and what each is worth."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t

from src.config.params import Params
from src.config.sections import FinetuneConfig
from src.core.files import written_whole
from src.core.plots import save_figure
from src.core.progress import Reporter
from src.core.tables import write_csv
from src.data.imageset import ImageSet
from src.data.splits import Splits
from src.evaluation.predictions import accuracy
from src.models.checkpoint import Checkpoint
from src.training.finetune import finetune, limit_labels, rehearse
from src.training.scratch import train_from_scratch

Labels = int | Literal["all"]

STRATEGIES = ("head", "full", "gradual", "discriminative")
ZERO_SHOT, REHEARSAL, SCRATCH = "zero-shot", "rehearsal", "scratch"
# Of whom a figure says nothing: the control itself, and what has never seen the source.
UNTOLD = {"gain": (ZERO_SHOT, SCRATCH), "source_test": (SCRATCH,)}
METHODS = (ZERO_SHOT, *STRATEGIES, REHEARSAL, SCRATCH)


@dataclass(frozen=True)
class Outcome:
    """What one way came to with one seed: accuracies, 0 to 1."""

    seed: int
    method: str
    labels: str  # per class
    target_val: float
    target_test: float
    source_test: float  # NaN where the source has other classes

    def __str__(self) -> str:
        source = "" if math.isnan(self.source_test) else f", source {self.source_test:.2%}"
        return (
            f"seed {self.seed}, {self.labels} labels per class, {self.method}: "
            f"target {self.target_test:.2%}{source}"
        )

    def metrics(self) -> dict[str, float]:
        """By names that tell them from those of other ways and numbers of labels."""
        tests = {"target_test": self.target_test, "source_test": self.source_test}
        return {
            f"{self.method}_{self.labels}_{name}": value
            for name, value in tests.items()
            if not math.isnan(value)
        }


def try_seed(
    params: Params,
    source: Splits,
    target: Splits,
    labels: Sequence[Labels],
    seed: int,
    reporters: Sequence[Reporter],
) -> Iterator[Outcome]:
    """Train a base model, of which the reporters are told, and adapt it in every way."""
    base = train_from_scratch(
        params.model, params.train, source.train, source.val, seed, reporters
    ).checkpoint
    yield from try_all(base, params.finetune, source, target, labels, seed)


def try_all(
    base: Checkpoint,
    config: FinetuneConfig,
    source: Splits,
    target: Splits,
    labels: Sequence[Labels],
    seed: int,
) -> Iterator[Outcome]:
    """Adapt `base`, trained on the source, in every way with each number of labels per class.

    zero-shot: not at all. rehearsal: full, with a source image for each one of the target. scratch:
    the same network from fresh weights. Where source and target differ in their classes, there is
    no zero-shot and no rehearsal.
    """
    alike = source.train.classes == target.train.classes
    if alike:
        yield _judge(ZERO_SHOT, 0, base, source, target, seed)
    for per_class in labels:
        few = limit_labels(target.train, per_class, seed)
        for method in (*STRATEGIES, *([REHEARSAL] if alike else []), SCRATCH):
            adapted = _adapt(method, base, config, source.train, few, target.val, seed)
            yield _judge(method, per_class, adapted, source, target, seed)


def _adapt(
    method: str,
    base: Checkpoint,
    config: FinetuneConfig,
    source: ImageSet,
    few: ImageSet,
    val_set: ImageSet,
    seed: int,
) -> Checkpoint:
    if method == SCRATCH:
        return train_from_scratch(base.config, config, few, val_set, seed).checkpoint
    if method == REHEARSAL:
        few, method = rehearse(few, source, 1.0, seed), "full"
    strategy = config.model_copy(update={"strategy": method})
    return finetune(base, strategy, few, val_set, seed).checkpoint


def _judge(
    method: str,
    labels: Labels,
    model: Checkpoint,
    source: Splits,
    target: Splits,
    seed: int,
) -> Outcome:
    alike = source.test.classes == target.test.classes
    return Outcome(
        seed,
        method,
        str(labels),
        target_val=accuracy(model, target.val),
        target_test=accuracy(model, target.test),
        # With other classes the model has no names for the source's any more.
        source_test=accuracy(model, source.test) if alike else math.nan,
    )


def summarise(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row per number of labels and method: means over the seeds, with 95 % intervals.

    gain: accuracy on the target's test images less that from scratch with the same labels and
    seed. Intervals are Student's, of the mean over seeds; with one seed there is none.
    """
    table = pd.DataFrame([asdict(outcome) for outcome in outcomes])
    scratch = table[table["method"] == SCRATCH].set_index(["labels", "seed"])["target_test"]
    beside = scratch.reindex(pd.MultiIndex.from_frame(table[["labels", "seed"]])).to_numpy()
    table["gain"] = table["target_test"] - beside
    rows = []
    for (labels, method), group in table.groupby(["labels", "method"], sort=False):
        row: dict[str, object] = {"labels": labels, "method": method, "seeds": len(group)}
        for column in ("target_val", "target_test", "source_test", "gain"):
            row |= _mean_and_interval(column, group[column])
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_and_interval(name: str, values: pd.Series) -> dict[str, float]:
    mean, reach = float(values.mean()), math.nan
    if len(values) > 1:
        reach = float(t.ppf(0.975, len(values) - 1) * values.sem())
    return {name: mean, f"{name}_lo": mean - reach, f"{name}_hi": mean + reach}


def as_markdown(table: pd.DataFrame) -> str:
    """Three tables for people, in percent: a row per method, a column per number of labels."""
    titles = {
        "target_test": "Accuracy on the target's test images",
        "gain": "Gain over the same network from scratch, in points",
        "source_test": "Accuracy on the source's test images: what is not forgotten",
        "target_val": "Accuracy on the target's validation images, by which to choose",
    }
    told = [column for column in titles if table[column].notna().any()]
    return "\n".join(_section(table, column, titles[column]) for column in told)


def _section(table: pd.DataFrame, column: str, title: str) -> str:
    labels = list(dict.fromkeys(table["labels"]))
    lines = [
        f"{title}; mean of {table['seeds'].max()} seeds ± half its 95 % interval over seeds.\n",
        f"| labels per class | {' | '.join(labels)} |",
        f"| --- |{' --- |' * len(labels)}",
    ]
    told = table[~table["method"].isin(UNTOLD.get(column, ()))]
    for method, rows in told.groupby("method", sort=False):
        cells = {
            row["labels"]: _cell(row[column], row[f"{column}_hi"]) for _, row in rows.iterrows()
        }
        lines.append(f"| {method} | {' | '.join(cells.get(each, '') for each in labels)} |")
    return "\n".join(lines) + "\n"


def _cell(mean: float, high: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{100 * mean:.1f}" + ("" if math.isnan(high) else f" ± {100 * (high - mean):.1f}")


def write_transfer_study(outcomes: Sequence[Outcome], folder: Path) -> pd.DataFrame:
    """All outcomes, their summary as CSV and Markdown, and its picture; returns the summary."""
    table = summarise(outcomes)
    write_csv(pd.DataFrame([asdict(outcome) for outcome in outcomes]), folder / "outcomes.csv")
    write_csv(table, folder / "table.csv")
    with written_whole(folder / "table.md") as partial:
        partial.write_text(as_markdown(table))
    _draw(table, folder / "transfer.png")
    return table


def _draw(table: pd.DataFrame, path: Path) -> None:
    """Accuracy on target (left) and source (right) by labels per class, a curve per method."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    labels = [each for each in dict.fromkeys(table["labels"]) if each != "0"]
    left, right = figure.subplots(1, 2)
    for axes, column in ((left, "target_test"), (right, "source_test")):
        for number, method in enumerate(METHODS):
            rows = table[table["method"] == method]
            if rows.empty or (method, column) == (SCRATCH, "source_test"):
                continue
            if method == ZERO_SHOT:
                axes.axhline(rows[column].iloc[0], color="grey", linestyle=":", label=method)
                continue
            # Side by side, so that the intervals do not hide each other.
            places = [labels.index(each) + 0.06 * (number - 3.5) for each in rows["labels"]]
            reach = (rows[f"{column}_hi"] - rows[column]).fillna(0)
            axes.errorbar(
                places, rows[column], yerr=reach, fmt="o-", markersize=4, capsize=2, label=method
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.set(xlabel="labels per class", ylabel=f"accuracy, {column.replace('_', ' ')}")
        axes.grid(alpha=0.3)
    left.legend()  # the right one has a curve less
    save_figure(figure, path)
