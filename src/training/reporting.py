"""How a running fit tells of itself: the interface, and the one for people at a terminal."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
from tqdm import tqdm

from src.files import written_whole


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images came to."""

    epoch: int  # from 1
    train_loss: float  # mean over the pass: of augmented images, with label smoothing
    val_loss: float  # after the pass: plain cross-entropy, in nats
    val_accuracy: float  # 0 to 1
    learning_rate: float  # of the topmost layer, at the last batch
    images_per_second: float


class Reporter:
    """Told of every batch and every epoch. This one does nothing with it."""

    def on_batch(self, images: int) -> None:
        """`images` more have been learned."""

    def on_epoch(self, epoch: Epoch) -> None:
        """A pass is complete."""


class Console(Reporter):
    """A line per epoch; on a terminal a bar below, too."""

    def __init__(self, label: str, epochs: int, images: int) -> None:
        self._label = label
        self._epochs = epochs
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def on_batch(self, images: int) -> None:
        self._bar.update(images)

    def on_epoch(self, epoch: Epoch) -> None:
        tqdm.write(
            f"{self._label} {epoch.epoch:3d}/{self._epochs}  train loss {epoch.train_loss:.4f}  "
            f"val loss {epoch.val_loss:.4f}  val accuracy {epoch.val_accuracy:.4f}  "
            f"{epoch.images_per_second:,.0f} images/s"
        )


def write_history(path: Path, epochs: Sequence[Epoch]) -> None:
    """The epochs as CSV, a row each, without their speed: equal fits give equal files."""
    table = pd.DataFrame(epochs).drop(columns="images_per_second")
    with written_whole(path) as partial:
        table.to_csv(partial, index=False)
