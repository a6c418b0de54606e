"""Rows 1 and 2: seconds to 99 % of official MNIST's test images, here and by other recipes.

    python -m benchmarks.fast

Row 1: recipes/fast.yaml, against the recipe of tuomaso/train_mnist_fast in plain PyTorch; whole
trainings with the test images predicted at the end, ten seeds of each in turn, two threads, tensors
in memory, channels_last. Row 2: against the settings of PyTorch's own example, with tensors in
memory, too; it predicts the test images after each epoch, and stops when it first has 99 % of them.
Imports that a process makes only once are made before the clock starts. DATA_MIRROR may name a
folder that has the data.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adadelta, Adam
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from benchmarks.rows import in_turn, record
from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import ImageSet, join
from src.data.splits import Splits
from src.recipes.recipe import TEST, Recipe, obtain_splits
from src.training.jobs import Scratch, run_job

SEEDS = 10
ENOUGH = 0.99


def ours(recipe: Recipe, splits: Splits, accuracies: list[float]) -> Callable[[], float]:
    images = {f"source.{name}": data for name, data in splits._asdict().items()}

    def train() -> float:
        seed = len(accuracies)
        job = Scratch(train=recipe.train, seed=seed, model=recipe.model, tests=(TEST,))
        started = time.perf_counter()
        accuracies.append(run_job(job, images).predictions[TEST].accuracy)
        return time.perf_counter() - started

    return train


def train_mnist_fast(splits: Splits, accuracies: list[float]) -> Callable[[], float]:
    train, (pixels, labels) = join(splits.train, splits.val), as_floats(splits.test)
    images, truth = as_floats(train)

    def run() -> float:
        torch.manual_seed(len(accuracies))
        started = time.perf_counter()
        model = nn.Sequential(
            *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
        ).to(memory_format=torch.channels_last)
        optimizer = Adam(model.parameters(), 0.01, betas=(0.7, 0.9))
        batches = [*torch.randperm(len(truth)).split(256)]
        schedule = OneCycleLR(optimizer, 0.01, total_steps=len(batches), cycle_momentum=False)
        for chosen in batches:
            update(model, optimizer, images[chosen], truth[chosen])
            schedule.step()
        accuracies.append(accuracy(model, pixels, labels))
        return time.perf_counter() - started

    return run


def example(splits: Splits, accuracies: list[float]) -> Callable[[], float]:
    train, (pixels, labels) = join(splits.train, splits.val), as_floats(splits.test)
    images, truth = as_floats(train)

    def run() -> float:
        torch.manual_seed(1)
        started = time.perf_counter()
        model = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU()),
            *(nn.Dropout(0.5), nn.Linear(128, 10)),
        )
        optimizer = Adadelta(model.parameters(), lr=1.0)
        schedule = StepLR(optimizer, step_size=1, gamma=0.7)
        for _ in range(14):
            model.train()
            for chosen in torch.randperm(len(truth)).split(64):
                update(model, optimizer, images[chosen], truth[chosen])
            schedule.step()
            accuracies.append(accuracy(model, pixels, labels))
            if accuracies[-1] >= ENOUGH:
                break
        return time.perf_counter() - started

    return run


def as_floats(data: ImageSet) -> tuple[Tensor, Tensor]:
    pixels = (data.images.float() / 255 - 0.1307) / 0.3081
    return pixels.contiguous(memory_format=torch.channels_last), data.labels


def update(
    model: nn.Module, optimizer: torch.optim.Optimizer, pixels: Tensor, labels: Tensor
) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(pixels), labels).backward()
    optimizer.step()


def accuracy(model: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        right = [
            int((model(some).argmax(1) == truth).sum())
            for some, truth in zip(pixels.split(1000), labels.split(1000), strict=True)
        ]
    return sum(right) / len(labels)


def describe(accuracies: list[float]) -> str:
    least, mean, most = min(accuracies), statistics.mean(accuracies), max(accuracies)
    return f"mean {mean:.2%} ({least:.2%} to {most:.2%})"


def main() -> None:
    recipe = load_params(Recipe, paths.RECIPES / "fast.yaml")
    set_up(**recipe.runtime.model_dump())
    splits = obtain_splits(recipe, paths.downloads())
    here, there = list[float](), list[float]()
    fast, theirs = ours(recipe, splits, here), train_mnist_fast(splits, there)
    in_turn(fast, theirs, 1)
    here.clear()
    there.clear()
    pairs = in_turn(fast, theirs, SEEDS)
    print(f"   ours: {describe(here)}; train_mnist_fast: {describe(there)}")
    if statistics.mean(here) < ENOUGH:
        sys.exit("error: recipes/fast.yaml did not reach 99 %, so that its time says nothing")
    record(1, "recipes/fast.yaml, to 99 % on MNIST", "train_mnist_fast's recipe", "s", pairs, 1.5)
    there.clear()
    pairs = in_turn(fast, example(splits, there), 1)
    if there[-1] < ENOUGH:
        sys.exit("error: PyTorch's example did not reach 99 %")
    print(f"   PyTorch's example after each epoch: {', '.join(f'{each:.2%}' for each in there)}")
    record(
        2, "recipes/fast.yaml, to 99 % on MNIST", "PyTorch's MNIST example, one run", "s", pairs, 50
    )


if __name__ == "__main__":
    main()
