"""What a training reports while it runs and when it has ended, and to whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """The results of one pass over the training images."""

    epoch: int  # from 1
    train_loss: float  # mean over the pass: of augmented images, with label smoothing
    val_loss: float  # after the pass: plain cross-entropy, in nats
    val_accuracy: float  # 0 to 1
    learning_rate: float  # of the topmost layer, at the last batch
    images_per_second: float

    def as_kept(self) -> dict[str, float]:
        """The metrics of a finished model that has the weights of this epoch."""
        return {
            "kept_epoch": self.epoch,
            "kept_val_loss": self.val_loss,
            "kept_val_accuracy": self.val_accuracy,
        }


@dataclass(frozen=True)
class Ended:
    """How one of many trainings ended."""

    name: str  # fold-1, trial-3
    state: str  # complete, pruned or failed
    values: Mapping[str, Any] = field(default_factory=dict)  # what sets it apart from the others
    metrics: Mapping[str, float] = field(default_factory=dict)  # of a complete one
    epochs: Sequence[Epoch] = ()
    reason: str = ""  # of a pruned or failed one
    machine: Mapping[str, str] = field(default_factory=dict)  # on which it ran, if it is known
    traceback: str = ""  # of a bug


class Observer:
    """Told of each of many trainings, by name. This one does nothing."""

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        """A training starts. values: what sets it apart or decides its result."""

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        """It has done another epoch."""

    def on_end(self, ended: Ended) -> None:
        """It is complete, pruned or failed; one that failed may start again."""


class Reporter:
    """Called after every batch and every epoch. This one does nothing."""

    def on_batch(self, images: int) -> None:
        """A step has been taken on this many images."""

    def on_epoch(self, epoch: Epoch) -> None:
        """A pass is complete."""
