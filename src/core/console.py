"""The progress of long work: a bar on a terminal, and lines for trainings."""

import math
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Self

from tqdm import tqdm

from src.core.progress import Ended, Epoch, Observer, Reporter
from src.core.terminal import NBSP, coloured, is_live, width, wrapped

LINES = 10  # at most, per training
STATES = {"complete": "green", "pruned": "dim", "failed": "red"}
ROOM = 60  # columns from which there is room for a bar, beside its numbers
SENTENCE = 40  # characters from which a field is a sentence, and may be broken


def bar(label: str, total: int | None, unit: str, **more: Any) -> "tqdm[Any]":
    """A bar with the time left, on stderr; none where nobody watches it. more: of tqdm."""
    numbers = "{n_fmt}/{total_fmt} " + unit + ", {remaining} left"
    shown = f"{{desc}} {{percentage:3.0f}}% {{bar}} {numbers}{{postfix}}"
    return tqdm(
        desc=f"{label:.20}",
        total=total,
        bar_format=shown if (width(sys.stderr) or ROOM) >= ROOM else f"{{desc}} {numbers}",
        dynamic_ncols=True,
        leave=False,
        disable=not is_live(sys.stderr),
        **more,
    )


def line_of(fields: Iterable[str]) -> str:
    """The fields in one line; on a terminal in as many as it takes, and only sentences broken."""
    whole = (field if len(field) > SENTENCE else field.replace(" ", NBSP) for field in fields)
    return wrapped("  ".join(whole), indent=4 * " ")


def tables(markdown: str) -> str:
    """Text with tables; on a terminal, one that is wider becomes several, or a list."""
    columns = width(sys.stdout)
    if not columns:
        return markdown
    found = groupby(markdown.split("\n"), lambda line: line.startswith("|"))
    return "\n".join(
        _fitted(lines, columns) if is_table else wrapped("\n".join(lines))
        for is_table, lines in ((is_table, [*lines]) for is_table, lines in found)
    )


def _fitted(lines: Sequence[str], most: int) -> str:
    """The table as tables of at most so many characters a row, each with the first column."""
    rows = [line.strip("|").split("|") for line in lines]
    first, *others = zip(*rows, strict=True)
    parts = [[first]]
    for column in others:
        if _characters([*parts[-1], column]) > most and len(parts[-1]) > 1:
            parts.append([first])
        parts[-1].append(column)
    if max(map(_characters, parts)) > most:
        return _listed(rows)
    drawn = (["|".join(("", *cells, "")) for cells in zip(*part, strict=True)] for part in parts)
    return "\n\n".join(map("\n".join, drawn))


def _characters(columns: Sequence[Sequence[str]]) -> int:
    """In a row of the table with these columns."""
    return 1 + sum(len(cells[0]) + 1 for cells in columns)


def _listed(rows: Sequence[Sequence[str]]) -> str:
    """A line for each cell that is not empty, and a gap after each row."""
    header, _, *body = [[cell.strip() for cell in row] for row in rows]
    return "\n\n".join(
        "\n".join(
            wrapped(f"{name}: {cell}", indent=4 * " ")
            for name, cell in zip(header, cells, strict=True)
            if cell
        )
        for cells in body
    )


class Console(Reporter):
    """A bar that moves with every batch; a line per epoch, or for every few of many epochs."""

    def __init__(self, label: str, epochs: int, images: int) -> None:
        self._label = label
        self._epochs = epochs
        self._interval = math.ceil(epochs / LINES)
        self._bar = bar(label, epochs * images, "images", unit_scale=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_batch(self, images: int) -> None:
        self._bar.update(images)

    def on_epoch(self, epoch: Epoch) -> None:
        if epoch.epoch % self._interval and epoch.epoch != self._epochs:
            return
        count = f"{epoch.epoch:{len(str(self._epochs))}d}/{self._epochs}"
        fields = (
            f"{self._label:>8} {count}",
            f"loss {epoch.train_loss:.4f}",
            f"val loss {epoch.val_loss:.4f}",
            f"accuracy {epoch.val_accuracy:.4f}",
            f"{epoch.images_per_second:,.0f} images/s",
        )
        tqdm.write(line_of(fields))


class Progress(Observer):
    """Many trainings: a bar on a terminal, a line for each that ends, a bug's traceback on stderr.

    The bar counts epochs; a subclass may count something else. names: of the trainings, which set
    the width of their column.
    """

    def __init__(
        self, label: str, names: Iterable[str], total: int, unit: str = "epochs", done: int = 0
    ) -> None:
        self._column = max(map(len, names), default=0)
        self._bar = bar(label, total, unit, initial=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        self._bar.update()

    def on_end(self, ended: Ended) -> None:
        state = coloured(ended.state, STATES[ended.state], sys.stdout)
        tqdm.write(line_of(self.fields(ended)).replace(ended.state, state, 1))
        if ended.traceback:
            tqdm.write(ended.traceback, file=sys.stderr)

    def fields(self, ended: Ended) -> list[str]:
        """How a training ended: its validation loss and its accuracies on other images, or why."""
        fields = [f"{ended.name:<{self._column}} {ended.state:>8}"]
        if ended.state != "complete":
            return [*fields, ended.reason]
        accuracies = {
            metric.removesuffix("_accuracy").replace("_", " "): value
            for metric, value in ended.metrics.items()
            if metric.endswith("_accuracy") and metric != "kept_val_accuracy"
        }
        fields.append(f"val loss {ended.metrics['kept_val_loss']:.4f}")
        return fields + [f"{name} {value:.2%}" for name, value in accuracies.items()]
