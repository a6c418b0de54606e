"""The progress of a training: a bar on a terminal, and some lines."""

import math
import sys
from typing import Self

from tqdm import tqdm

from src.core.progress import Epoch, Reporter

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
