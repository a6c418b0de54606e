"""Train a network as a recipe says, and count its correct predictions on the test images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from src.config.networks import ModelConfig
from src.config.sections import DataConfig, RuntimeConfig, Section, Seed, TrainConfig
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.sources import facts_of, obtain
from src.data.splits import Splits, read_splits
from src.models.predict import predict
from src.training.scratch import train_from_scratch

SEEDS = 3


class Recipe(Section):
    """The sections of a params file that a recipe uses."""

    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + SEEDS)


@dataclass(frozen=True)
class Result:
    """The result of one training of a recipe."""

    recipe: str
    seed: int
    parameters: int  # trainable ones
    epochs: int
    seconds_per_epoch: float  # of training alone, the median epoch
    seconds: float  # of the whole training, validation included
    n: int  # test images
    correct: int  # of them

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def obtain_splits(recipe: Recipe, downloads: Path, device: torch.device) -> Splits:
    """The splits of the recipe's source, in its own image size, on the device."""
    data = recipe.data
    with TemporaryDirectory() as name:
        folder = Path(name)
        obtain(data.source, folder, downloads)
        classes = facts_of(data.source).classes
        splits = read_splits(folder, classes, data.val_images, generator(recipe.seed, "split"))
    return Splits(*(split.to(device) for split in splits))


def train_recipe(
    name: str, recipe: Recipe, splits: Splits, seed: int, reporters: Sequence[Reporter]
) -> Result:
    """Train with this seed, then predict the test images, once."""
    started = time.perf_counter()
    trained = train_from_scratch(
        recipe.model, recipe.train, splits.train, splits.val, seed, reporters
    )
    seconds = time.perf_counter() - started
    network, epochs = trained.checkpoint.model, trained.fit.epochs
    correct = predict(network, splits.test).argmax(1) == splits.test.labels
    return Result(
        recipe=name,
        seed=seed,
        parameters=sum(weights.numel() for weights in network.parameters()),
        epochs=len(epochs),
        seconds_per_epoch=median(len(splits.train) / epoch.images_per_second for epoch in epochs),
        seconds=seconds,
        n=len(correct),
        correct=int(correct.sum()),
    )
