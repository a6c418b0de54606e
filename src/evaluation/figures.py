"""The pictures of the evaluation."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from src.core.plots import drawable, legible

READABLE = 30  # classes whose counts and names can be read in a confusion matrix


def confusion(panels: Mapping[str, tuple[np.ndarray, Sequence[str]]]) -> Figure:
    """By title, a confusion matrix and the names of its classes; colour is the share of the row."""
    largest = max(len(classes) for _, classes in panels.values())
    side = max(5, 0.4 * min(largest, READABLE))
    figure = Figure(figsize=(side * len(panels), side), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, (counts, classes)) in zip(columns, panels.items(), strict=True):
        share = counts / counts.sum(1, keepdims=True).clip(min=1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=title, xlabel="predicted", ylabel="actual")
        if len(classes) <= READABLE:
            _write_counts(axes, counts, share)
            names = legible(classes)
            upright = max(len(name) for name in names) <= 2
            axes.set_xticks(range(len(names)), names, rotation=0 if upright else 90)
            axes.set_yticks(range(len(names)), names)
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    for row, column in zip(*counts.nonzero(), strict=True):
        shade = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=shade, size=8)


def images(shown: Tensor, captions: Sequence[str], title: str) -> Figure:
    """Images uint8 [N, C, H, W] with a caption each."""
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(1.4 * columns, 1.7 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    for place, (image, caption) in enumerate(zip(shown, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(drawable(image), cmap="gray_r")
        axes.set_title(textwrap.fill(caption, 22), size=8)
        axes.axis("off")
    return figure


def reliability(panels: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """By title, then label: accuracy against confidence, as calibration.reliability gives them."""
    figure = Figure(figsize=(4 * len(panels), 4.2), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, tables) in zip(columns, panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
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
        axes.set(title=title, xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        axes.legend()
    return figure


def corruptions(table: pd.DataFrame) -> Figure:
    """Accuracy by severity, a panel per kind, a curve with its interval per model."""
    kinds = table.loc[table["severity"] > 0, "corruption"].unique()
    figure = Figure(figsize=(10, 6), layout="constrained")
    figure.suptitle("accuracy on corrupted test images, 95 % intervals")
    for axes, kind in zip(figure.subplots(2, 3, sharey=True).flat, kinds, strict=True):
        shown = table[table["corruption"].isin([kind, "none"])]
        for name, curve in shown.groupby("model", sort=False):
            ordered = curve.sort_values("severity")
            axes.plot(ordered["severity"], ordered["accuracy"], ".-", label=name)
            axes.fill_between(
                ordered["severity"], ordered["accuracy_lo"], ordered["accuracy_hi"], alpha=0.2
            )
        axes.set(title=kind, xlabel="severity")
    axes.legend()
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Losses (left) and validation accuracy (right) by epoch, a pair of panels per history."""
    figure = Figure(figsize=(9, 3.2 * len(histories)), layout="constrained")
    grid = figure.subplots(len(histories), 2, squeeze=False)
    for (losses, accuracy), (name, history) in zip(grid, histories.items(), strict=True):
        losses.plot(history["epoch"], history["train_loss"], ".-", label="training")
        losses.plot(history["epoch"], history["val_loss"], ".-", label="validation")
        losses.set(title=f"{name}: loss", xlabel="epoch", yscale="log")
        losses.legend()
        accuracy.plot(history["epoch"], history["val_accuracy"], ".-", color="C1")
        accuracy.set(title=f"{name}: validation accuracy", xlabel="epoch")
    return figure


def transfer(table: pd.DataFrame) -> Figure:
    """Accuracy on the target's test images, with intervals."""
    figure = Figure(figsize=(6, 0.6 * len(table) + 1), layout="constrained")
    figure.suptitle("accuracy on the target's test images, 95 % interval")
    axes = figure.subplots()
    rows = range(len(table))
    below = table["accuracy"] - table["accuracy_lo"]
    above = table["accuracy_hi"] - table["accuracy"]
    axes.errorbar(table["accuracy"], rows, xerr=[below, above], fmt="o", capsize=4)
    axes.set_yticks(rows, table["model"])
    axes.margins(y=0.3)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    return figure
