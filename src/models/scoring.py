"""A model's predictions for a whole image set."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.data.imageset import ImageSet, batches

# Images at a time: so few that their activations fit into a CPU's cache, and enough to fill a GPU.
BATCH = {"cpu": 100, "cuda": 1000}


class Score(NamedTuple):
    loss: float  # mean cross-entropy, in nats
    accuracy: float  # share of correct predictions, 0 to 1


class Predictions(NamedTuple):
    """What a model says of an image set, on the CPU."""

    logits: Tensor  # float32 [N, classes]
    labels: Tensor  # int64 [N], the true ones

    @property
    def correct(self) -> Tensor:
        """Which images are predicted correctly, bool [N]."""
        return self.logits.argmax(1) == self.labels

    @property
    def accuracy(self) -> float:
        """The share of correct predictions, 0 to 1."""
        return int(self.correct.sum()) / len(self.labels)


def predict(model: nn.Module, data: ImageSet) -> Tensor:
    """Logits, float32 [N, classes], in the order of `data` and on its device."""
    model.eval()
    logits: Tensor | None = None
    done = 0
    with torch.inference_mode():
        for images, _ in batches(data, BATCH[data.labels.device.type]):
            some = model(as_pixels(images))
            if logits is None:  # one tensor: a piece kept from each batch would fragment the memory
                logits = some.new_empty(len(data), some.shape[1])
            logits[done : done + len(some)] = some
            done += len(some)
    assert logits is not None
    return logits


def score(model: nn.Module, data: ImageSet) -> Score:
    logits = predict(model, data)
    correct = int((logits.argmax(1) == data.labels).sum())
    return Score(F.cross_entropy(logits, data.labels).item(), correct / len(data))


def as_pixels(images: Tensor) -> Tensor:
    """uint8 images as floats, 0 to 255, in the memory format that networks are fastest with."""
    return images.to(torch.float32, memory_format=torch.channels_last)
