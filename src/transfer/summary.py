"""Tables and a picture of a transfer study: means over seeds, with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
from matplotlib.figure import Figure

from src.core.finding import Finding
from src.core.plots import FAINT, blank
from src.core.stats import student
from src.transfer.methods import METHODS, SCRATCH, ZERO_SHOT, Outcome

# Columns that are undefined for a method: a gain over itself, and what never saw the source.
UNDEFINED = {"gain": (ZERO_SHOT, SCRATCH), "source_test": (SCRATCH,)}
TITLES = {
    "target_test": "Accuracy on the target's test images",
    "gain": "Gain over the same network from scratch, in points",
    "source_test": "Accuracy on the source's test images: what is not forgotten",
    "target_val": "Accuracy on the target's validation images, by which to choose",
}


def summary(outcomes: Sequence[Outcome]) -> Finding:
    """All outcomes, their means with intervals as tables, and a picture."""
    table = summarise(outcomes)
    rows = pd.DataFrame([asdict(outcome) for outcome in outcomes])
    return Finding(
        {"outcomes.csv": rows, "table.csv": table},
        {"transfer.svg": draw(table)},
        documents={"table.md": as_markdown(table)},
    )


def summarise(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row per number of labels and method: means over the seeds, with 95 % intervals.

    gain: accuracy on the target's test images less that from scratch with the same labels and
    seed. The intervals are Student's, of the mean over seeds; NaN for a single seed.
    """
    table = pd.DataFrame([asdict(outcome) for outcome in outcomes])
    scratch = table[table["method"] == SCRATCH].set_index(["labels", "seed"])["target_test"]
    beside = scratch.reindex(pd.MultiIndex.from_frame(table[["labels", "seed"]])).to_numpy()
    table["gain"] = table["target_test"] - beside
    rows = []
    for (labels, method), group in table.groupby(["labels", "method"], sort=False):
        row: dict[str, object] = {"labels": labels, "method": method, "seeds": len(group)}
        for column in ("target_val", "target_test", "source_test", "gain"):
            low, high = student(group[column].dropna())
            row |= {column: group[column].mean(), f"{column}_lo": low, f"{column}_hi": high}
        rows.append(row)
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame) -> str:
    """A table per kind of accuracy, in percent: a row per method, a column per number of labels."""
    shown = [column for column in TITLES if table[column].notna().any()]
    return "\n\n".join(_section(table, column) for column in shown) + "\n"


def _section(table: pd.DataFrame, column: str) -> str:
    rows = table[~table["method"].isin(UNDEFINED.get(column, ()))]
    cells = [_cell(*pair) for pair in zip(rows[column], rows[f"{column}_hi"], strict=True)]
    grid = rows.assign(cell=cells).pivot(index="method", columns="labels", values="cell")
    grid = (
        grid.reindex(index=rows["method"].unique(), columns=table["labels"].unique())
        .astype(object)
        .fillna("")
    )
    fewest, most = table["seeds"].min(), table["seeds"].max()
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"  # some trainings failed
    title = f"{TITLES[column]}; mean of {seeds} seeds ± half-width of its 95 % interval."
    shown = grid.rename_axis("labels per class").reset_index()
    return f"{title}\n\n{shown.to_markdown(index=False, disable_numparse=True)}"


def _cell(mean: float, high: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{100 * mean:.1f}" + ("" if math.isnan(high) else f" ± {100 * (high - mean):.1f}")


def draw(table: pd.DataFrame) -> Figure:
    """Accuracy on target (left) and source (right) by labels per class, a curve per method."""
    figure = blank(9.5, 4.2, "Accuracy on target and source by labels per class, a curve a method")
    labels = [each for each in dict.fromkeys(table["labels"]) if each != "0"]
    left, right = figure.subplots(1, 2)
    for axes, column in ((left, "target_test"), (right, "source_test")):
        for number, method in enumerate(METHODS):
            rows = table[table["method"] == method]
            if rows.empty or method in UNDEFINED.get(column, ()):
                continue
            if method == ZERO_SHOT:
                axes.axhline(rows[column].iloc[0], color=FAINT, linestyle=":", label=method)
                continue
            # Side by side, so that the intervals do not hide each other.
            places = [labels.index(each) + 0.06 * (number - 3.5) for each in rows["labels"]]
            half_width = (rows[f"{column}_hi"] - rows[column]).fillna(0)
            axes.errorbar(
                places,
                rows[column],
                yerr=half_width,
                fmt="o-",
                markersize=4,
                capsize=2,
                label=method,
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.set(title=f"{column.split('_')[0]}'s test images", xlabel="labels per class")
    left.set_ylabel("accuracy, mean of the seeds and its 95 % interval")
    left.legend()  # the right panel has one curve fewer
    return figure
