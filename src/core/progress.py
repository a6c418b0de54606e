"""What a running fit tells of itself, and to whom."""

from dataclasses import dataclass


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
