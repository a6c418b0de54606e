"""The pictures of the evaluation."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.core.plots import FAINT, INK, blank, shortened

READABLE = 30  # classes whose counts can be read in a confusion matrix
NAMED = 100  # classes whose names can


def confusion(title: str, counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Counts [classes, classes], labels in rows; colour is the share of the row."""
    count = len(classes)
    side = max(4.2, 0.38 * count if count <= READABLE else 0.14 * min(count, NAMED))
    right = int(counts.trace())
    figure = blank(side, side, f"Confusion matrix, {title}: {right} of {counts.sum()} are right")
    axes = figure.subplots()
    share = counts / counts.sum(1, keepdims=True).clip(min=1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="actual")
    axes.grid(visible=False)
    if count <= READABLE:
        _write_counts(axes, counts, share)
    if count <= NAMED:
        names = shortened(classes)
        size = 9 if count <= READABLE else 6
        upright = count <= READABLE and max(len(name) for name in names) <= 2
        axes.set_xticks(range(count), names, rotation=0 if upright else 90, size=size)
        axes.set_yticks(range(count), names, size=size)
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    for row, column in zip(*counts.nonzero(), strict=True):
        shade = "white" if share[row, column] > 0.5 else INK
        axes.text(column, row, counts[row, column], ha="center", va="center", color=shade, size=8)


def reliability(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """By title, then label: accuracy against confidence, as calibration.reliability gives them."""
    alt = f"Reliability diagrams: accuracy against confidence. {', '.join(panels)}"
    figure = blank(3.2 * len(panels), 3.4, alt)
    columns = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    columns[0].set_ylabel("accuracy")
    for axes, (title, tables) in zip(columns, panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
        for label, table in tables.items():
            below = table["accuracy"] - table["accuracy_lo"]
            above = table["accuracy_hi"] - table["accuracy"]
            axes.errorbar(
                table["confidence"],
                table["accuracy"],
                yerr=[below, above],
                fmt="o",
                markersize=4,
                capsize=2,
                label=label,
            )
        axes.set(title=title, xlabel="confidence", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(loc="lower right", fontsize="small")
    return figure


def corruptions(table: pd.DataFrame) -> Figure:
    """Accuracy by severity, a panel per kind, a curve with its interval per model."""
    kinds = table.loc[table["severity"] > 0, "corruption"].unique()
    figure = blank(9, 5.6, f"Accuracy by severity of {', '.join(kinds)}, a curve per model")
    figure.suptitle("accuracy on corrupted test images, with 95 % intervals")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, kind in zip(panels.flat, kinds, strict=True):
        shown = table[table["corruption"].isin([kind, "none"])]
        for (model, test), curve in shown.groupby(["model", "test"], sort=False):
            ordered = curve.sort_values("severity")
            label = f"{model} on {test}"
            axes.plot(ordered["severity"], ordered["accuracy"], ".-", label=label)
            axes.fill_between(
                ordered["severity"], ordered["accuracy_lo"], ordered["accuracy_hi"], alpha=0.2
            )
        axes.set_title(kind)
    for axes in panels[-1]:
        axes.set_xlabel("severity")
    panels[0, 0].legend()
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Losses (left) and validation accuracy (right) by epoch, a pair of panels per history.

    The histories share their scales, so that heights can be compared.
    """
    ends = [
        f"{name} ends at a validation accuracy of {history['val_accuracy'].iloc[-1]:.4f}"
        for name, history in histories.items()
    ]
    alt = f"Learning curves: {'; '.join(ends)}"
    figure = blank(8, 2.8 * len(histories), alt)
    grid = figure.subplots(len(histories), 2, squeeze=False, sharey="col")
    for (losses, accuracy), (name, history) in zip(grid, histories.items(), strict=True):
        losses.plot(history["epoch"], history["train_loss"], ".-", label="training")
        losses.plot(history["epoch"], history["val_loss"], ".-", label="validation")
        losses.set(title=f"{name}: loss", yscale="log")
        accuracy.plot(history["epoch"], history["val_accuracy"], ".-", color="C1")
        accuracy.set(title=f"{name}: validation accuracy")
    for axes in grid.flat:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    grid[0, 0].legend()
    return figure


def transfer(table: pd.DataFrame) -> Figure:
    """Accuracy on the target's test images, with intervals."""
    figure = blank(
        5.5, 0.5 * len(table) + 0.9, "Accuracy of each model on the target's test images"
    )
    figure.suptitle("accuracy on the target's test images, with 95 % intervals")
    axes = figure.subplots()
    rows = range(len(table))
    below = table["accuracy"] - table["accuracy_lo"]
    above = table["accuracy_hi"] - table["accuracy"]
    axes.errorbar(table["accuracy"], rows, xerr=[below, above], fmt="o", capsize=4)
    axes.set_yticks(rows, table["model"])
    axes.margins(y=0.3)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure
