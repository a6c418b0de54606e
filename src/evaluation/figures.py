"""The pictures of the evaluation, as PNG files whose bytes depend on the data alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from src.drawing import save_figure


def draw_confusion(panels: Mapping[str, tuple[np.ndarray, Sequence[str]]], path: Path) -> None:
    """By title, a confusion matrix and the names of its classes; colour is the share of the row."""
    figure = Figure(figsize=(5 * len(panels), 5), layout="constrained")
    columns = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, (counts, classes)) in zip(columns, panels.items(), strict=True):
        share = counts / counts.sum(1, keepdims=True).clip(min=1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*counts.nonzero(), strict=True):
            shade = "white" if share[row, column] > 0.5 else "black"
            axes.text(
                column, row, counts[row, column], ha="center", va="center", color=shade, size=8
            )
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(title=title, xlabel="predicted", ylabel="actual")
    save_figure(figure, path)


def draw_mistakes(images: Tensor, table: pd.DataFrame, most: int, path: Path) -> None:
    """The most confident mistakes, at most `most`; images uint8 [N, C, H, W], rows alike."""
    wrong = table[table["actual"] != table["predicted"]]
    worst = wrong.sort_values("confidence", ascending=False, kind="stable").head(most)
    columns = 8
    rows = max(1, -(-len(worst) // columns))
    figure = Figure(figsize=(1.4 * columns, 1.7 * rows + 0.5), layout="constrained")
    figure.suptitle(f"{len(wrong)} mistakes of {len(table)}: actual, predicted, confidence")
    for place, index in enumerate(worst.index, start=1):
        row = worst.loc[index]
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(images[index].permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray_r")
        axes.set_title(f"{row['actual']} → {row['predicted']}  {row['confidence']:.2f}", size=8)
        axes.axis("off")
    save_figure(figure, path)


def draw_curves(histories: Mapping[str, pd.DataFrame], path: Path) -> None:
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
    save_figure(figure, path)


def draw_transfer(table: pd.DataFrame, path: Path) -> None:
    """Accuracy on the target's test images, with intervals: what transfer is worth."""
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
    save_figure(figure, path)
