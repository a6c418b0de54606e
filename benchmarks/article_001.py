"""Article 001's loop in plain PyTorch, and its recipe here, in turn, with the same seeds.

    python -m benchmarks.article_001

On official MNIST (DATA_MIRROR may name a folder that has it). Both sides train with the threads
of the recipe; the article's images are in memory, too, so that its loader's cost is left out.
"""

import time
from statistics import median

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.core import paths
from src.core.runtime import set_up
from src.data.checks import load_params
from src.data.imageset import ImageSet, join
from src.data.splits import Splits
from src.recipes.recipe import TEST, Recipe, obtain_splits
from src.training.jobs import Scratch, run_job

SEEDS = range(5)
EPOCHS, BATCH = 10, 64


class Net(nn.Module):
    """LeNet-5 as the article has it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.dense = nn.ModuleList([nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)])

    def forward(self, images: Tensor) -> Tensor:
        for convolution in (self.first, self.second):
            images = F.max_pool2d(F.relu(convolution(images)), 2)
        hidden = F.relu(self.dense[1](F.relu(self.dense[0](images.flatten(1)))))
        logits: Tensor = self.dense[2](hidden)
        return logits


def scaled(data: ImageSet) -> Tensor:
    return data.images.float() / 127.5 - 1


def as_printed(train_set: ImageSet, test_set: ImageSet, seed: int) -> tuple[float, float]:
    """Test accuracy, and seconds per epoch."""
    torch.manual_seed(seed)
    images, labels = scaled(train_set), train_set.labels
    net = Net().to(labels.device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    started = time.perf_counter()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    seconds = (time.perf_counter() - started) / EPOCHS
    with torch.no_grad():
        right = net(scaled(test_set)).argmax(1) == test_set.labels
    return float(right.double().mean()), seconds


def main() -> None:
    recipe = load_params(Recipe, paths.RECIPES / "article-001.yaml")
    device = set_up(**recipe.runtime.model_dump())
    splits = Splits(*(each.to(device) for each in obtain_splits(recipe, paths.downloads())))
    images = {f"source.{name}": data for name, data in splits._asdict().items()}
    everything = join(splits.train, splits.val)  # the article holds no images back
    rows = []
    for seed in SEEDS:
        accuracy, seconds = as_printed(everything, splits.test, seed)
        job = Scratch(train=recipe.train, seed=seed, model=recipe.model, tests=(TEST,))
        here = run_job(job, images)
        speeds = [epoch.images_per_second for epoch in here.fit.epochs]
        rows.append(
            {
                "seed": seed,
                "article": accuracy,
                "here": here.predictions[TEST].accuracy,
                "article_seconds": seconds,
                "here_seconds": len(splits.train) / median(speeds),
            }
        )
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    print(table.agg(["mean", "std", "median"]).round(4).to_string())
    ratio = (table["article_seconds"] / table["here_seconds"]).median()
    print(f"an epoch here is {ratio:.2f} times as fast (median of the pairs)")


if __name__ == "__main__":
    main()
