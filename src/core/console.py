"""The progress of a training, or of many: a bar on a terminal, and some lines."""

import math
import sys
from typing import Self

from tqdm import tqdm

from src.core.progress import Ended, Epoch, Observer, Reporter

LINES = 10  # at most, per training


class Console(Reporter):
    """A bar that moves with every batch; a line per epoch, or for every few of many epochs."""

    def __init__(self, label: str, epochs: int, images: int) -> None:
        self._label = label
        self._epochs = epochs
        self._interval = math.ceil(epochs / LINES)
        self._bar = tqdm(
            total=epochs * images,
            desc=label,
            unit=" images",
            unit_scale=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_batch(self, images: int) -> None:
        self._bar.update(images)

    def on_epoch(self, epoch: Epoch) -> None:
        if epoch.epoch % self._interval and epoch.epoch != self._epochs:
            return
        tqdm.write(
            f"{self._label:>8} {epoch.epoch:3d}/{self._epochs}  train loss {epoch.train_loss:.4f}  "
            f"val loss {epoch.val_loss:.4f}  val accuracy {epoch.val_accuracy:.4f}  "
            f"{epoch.images_per_second:,.0f} images/s"
        )


class Progress(Observer):
    """Many trainings: a bar on a terminal, a line for each that ends, a bug's traceback on stderr.

    The bar counts epochs; a subclass may count something else.
    """

    def __init__(self, label: str, total: int, unit: str = "epochs", done: int = 0) -> None:
        self._bar = tqdm(
            desc=label,
            total=total,
            initial=done,
            unit=f" {unit}",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        self._bar.update()

    def on_end(self, ended: Ended) -> None:
        tqdm.write(self.line(ended))
        if ended.traceback:
            tqdm.write(ended.traceback, file=sys.stderr)

    def line(self, ended: Ended) -> str:
        """How a training ended: its validation loss and its accuracies on other images, or why."""
        shown = [ended.reason]
        if ended.state == "complete":
            accuracies = {
                metric.removesuffix("_accuracy").replace("_", " "): value
                for metric, value in ended.metrics.items()
                if metric.endswith("_accuracy") and metric != "kept_val_accuracy"
            }
            shown = [f"val loss {ended.metrics['kept_val_loss']:.4f}"]
            shown += [f"{name} {value:.2%}" for name, value in accuracies.items()]
        return f"{ended.name:<9} {ended.state:>8}  {', '.join(shown)}"
