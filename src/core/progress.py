"""What a training reports while it runs, and to whom."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The results of one pass over the training images."""

    epoch: int  # from 1
    train_loss: float  # mean over the pass: of augmented images, with label smoothing
    val_loss: float  # after the pass: plain cross-entropy, in nats
    val_accuracy: float  # 0 to 1
    learning_rate: float  # of the topmost layer, at the last batch
    images_per_second: float


class Reporter:
    """Called after every batch and every epoch. This one does nothing."""

    def on_batch(self, images: int) -> None:
        """A step has been taken on this many images."""

    def on_epoch(self, epoch: Epoch) -> None:
        """A pass is complete."""
