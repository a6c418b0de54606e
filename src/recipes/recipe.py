"""A published recipe: its sections, its data, and a row of results for each seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from src.config.networks import ModelConfig
from src.config.sections import DataConfig, RuntimeConfig, Section, Seed, TrainConfig
from src.core.runtime import generator
from src.data.imageset import save_images
from src.data.sources import facts_of, obtain
from src.data.splits import Splits, read_splits
from src.training.jobs import Job, Scratch
from src.training.result import Result

SEEDS = 3
TEST = "source.test"


class Recipe(Section):
    """The sections of a params file that a recipe uses."""

    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig

    def jobs(self) -> dict[str, Job]:
        """A training per seed; its model predicts the test images, once."""
        return {
            f"seed-{seed}": Scratch(train=self.train, seed=seed, model=self.model, tests=(TEST,))
            for seed in range(self.seed, self.seed + SEEDS)
        }


@dataclass(frozen=True)
class Row:
    """The result of one training of a recipe. Times are NaN unless it had the machine to itself."""

    recipe: str
    seed: int
    parameters: int  # trainable ones
    epochs: int
    alone: bool  # whether its command had one worker, so that times mean something
    seconds_per_epoch: float  # of training alone, the median epoch
    seconds: float  # of the whole training, validation included
    n: int  # test images
    correct: int  # of them

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def obtain_splits(recipe: Recipe, downloads: Path) -> Splits:
    """The splits of the recipe's source, in its own image size."""
    data = recipe.data
    with TemporaryDirectory() as name:
        folder = Path(name)
        obtain(data.source, folder, downloads)
        classes = facts_of(data.source).classes
        return read_splits(folder, classes, data.val_images, generator(recipe.seed, "split"))


def write_image_sets(splits: Splits, folder: Path) -> dict[str, Path]:
    """A file per split in `folder`, by the names that jobs call them."""
    written = {f"source.{name}": folder / f"{name}.safetensors" for name in splits._fields}
    for path, data in zip(written.values(), splits, strict=True):
        save_images(path, data)
    return written


def as_rows(name: str, recipe: Recipe, results: Mapping[str, Result], images: int) -> list[Row]:
    """A row per seed; images: those that each was trained on."""
    jobs = recipe.jobs()
    return [_row(name, jobs[each].seed, result, images) for each, result in results.items()]


def _row(name: str, seed: int, result: Result, images: int) -> Row:
    epochs, tested = result.fit.epochs, result.predictions[TEST]
    seconds_per_epoch = median(images / epoch.images_per_second for epoch in epochs)
    return Row(
        recipe=name,
        seed=seed,
        parameters=result.parameters,
        epochs=len(epochs),
        alone=result.alone,
        seconds_per_epoch=seconds_per_epoch if result.alone else math.nan,
        seconds=result.seconds if result.alone else math.nan,
        n=len(tested.labels),
        correct=int(tested.correct.sum()),
    )
