"""Train a network as a recipe says, and count what it reads of the test images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from src.config.networks import ModelConfig
from src.config.sections import DataConfig, TrainConfig
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.sources import facts_of, obtain
from src.data.splits import Splits, read_splits
from src.models.predict import predict
from src.training.scratch import train_from_scratch


@dataclass(frozen=True)
class Result:
    """What one training of a recipe came to."""

    recipe: str
    seed: int
    parameters: int  # numbers that are trained
    epochs: int
    seconds_per_epoch: float  # of training alone, the median epoch
    seconds: float  # of the whole training, validation included
    n: int  # test images
    correct: int  # of them

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def obtain_splits(data: DataConfig, seed: int, downloads: Path, device: torch.device) -> Splits:
    """The splits of `data.source`, split by `seed`, in its own size, on the device."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        obtain(data.source, folder, downloads)
        classes = facts_of(data.source).classes
        splits = read_splits(folder, classes, data.val_images, generator(seed, "split"))
    return Splits(*(split.to(device) for split in splits))


def try_out(
    recipe: str,
    model: ModelConfig,
    train: TrainConfig,
    splits: Splits,
    seed: int,
    reporters: Sequence[Reporter],
) -> Result:
    """Train with the seed given, then read the test images, once."""
    started = time.perf_counter()
    trained = train_from_scratch(model, train, splits.train, splits.val, seed, reporters)
    seconds = time.perf_counter() - started
    network, epochs = trained.checkpoint.model, trained.fit.epochs
    right = predict(network, splits.test).argmax(1) == splits.test.labels
    return Result(
        recipe=recipe,
        seed=seed,
        parameters=sum(weights.numel() for weights in network.parameters()),
        epochs=len(epochs),
        seconds_per_epoch=median(len(splits.train) / epoch.images_per_second for epoch in epochs),
        seconds=seconds,
        n=len(right),
        correct=int(right.sum()),
    )
