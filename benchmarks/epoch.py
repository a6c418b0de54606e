"""Row 3: an epoch of each recipe of the articles here, and in a textbook's loop.

    python -m benchmarks.epoch [RECIPE ...]

On 20,000 images of official MNIST, the time scaled to 60,000 (DATA_MIRROR may name a folder that
has them), the same network and batch size. The textbook's side is what PyTorch's tutorials show:
torchvision's MNIST with ToTensor and Normalize, a DataLoader with two workers, convolution,
activation and pool in this order, and the optimizer as it comes. Each side's first epoch is not
counted, and no start of a worker.
"""

import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

from benchmarks.rows import in_turn, record
from src.config.networks import CnnConfig
from src.core import paths
from src.core.runtime import generator, set_up
from src.data.checks import load_params
from src.data.imageset import TrainVal
from src.data.sources import obtain
from src.models.build import build_model
from src.models.network import ACTIVATIONS
from src.recipes.recipe import Recipe, obtain_splits
from src.training.fit import fit
from src.training.optim import LayerPlan
from src.training.step import Step

IMAGES, EPOCH = 20_000, 60_000
PAIRS = 3
WANTED = {"article-001": 5.0}
ELSE_WANTED = 3.0
RECIPES = [f"article-00{number}" for number in range(5)]


def ours(recipe: Recipe) -> Callable[[], float]:
    """An epoch's time here; validation is not in the other loop, so it is of ten images."""
    device = set_up(**recipe.runtime.model_dump())
    data = obtain_splits(recipe, paths.downloads()).train.subset(torch.arange(IMAGES)).to(device)
    random = generator(recipe.seed, "weights")
    model = build_model(recipe.model, data.image_shape, 10, data.mean, data.std, random)
    model = model.to(device).to(memory_format=torch.channels_last)
    once = recipe.train.model_copy(update={"epochs": 1})
    both = TrainVal(data, data.subset(torch.arange(10)))

    def epoch() -> float:
        step = Step(model, once, [LayerPlan()] * len(model.layers), data, recipe.seed)
        started = time.perf_counter()
        fit(step, both, recipe.seed)
        return time.perf_counter() - started

    return epoch


def textbook(recipe: Recipe, folder: Path) -> Callable[[], float]:
    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    images = Subset(MNIST(str(folder), transform=transform), range(IMAGES))
    loader = DataLoader(images, recipe.train.batch_size, shuffle=True, num_workers=2)
    assert isinstance(recipe.model, CnnConfig)
    model = plain_network(recipe.model)
    config = recipe.train.optimizer
    optimizer = (
        SGD(model.parameters(), config.learning_rate, momentum=config.momentum)
        if config.name == "sgd"
        else Adam(model.parameters(), config.learning_rate)
    )

    def epoch() -> float:
        model.train()
        batches = iter(loader)  # starts its workers, which an epoch three times as long does once
        started = time.perf_counter()
        for pixels, labels in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pixels), labels)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - started

    return epoch


def plain_network(config: CnnConfig) -> nn.Module:
    """The network of `config`, without batch norm and dropout, which no article has."""
    assert not config.batch_norm
    assert config.dropout == 0
    activation = ACTIVATIONS[config.activation]
    layers: list[nn.Module] = []
    for sizes in zip([1, *config.channels], config.channels, config.kernel_sizes, strict=False):
        layers += [nn.Conv2d(*sizes), activation(), nn.MaxPool2d(config.pool_size)]
    height, width = config.map_sizes(28, 28)[-1]
    widths = [config.channels[-1] * height * width, *config.hidden, 10]
    layers.append(nn.Flatten())
    for width, next_width in pairwise(widths):
        layers += [nn.Linear(width, next_width), activation()]
    return nn.Sequential(*layers[:-1])


def unpacked(folder: Path) -> Path:
    """Official MNIST as torchvision's class reads it."""
    raw = folder / "MNIST/raw"
    raw.mkdir(parents=True)
    obtain("mnist", folder / "packed", paths.downloads())
    for packed in (folder / "packed").glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = unpacked(Path(temporary))
        for name in sys.argv[1:] or RECIPES:
            recipe = load_params(Recipe, paths.RECIPES / f"{name}.yaml")
            here, there = ours(recipe), textbook(recipe, folder)
            pairs = in_turn(here, there, 1 + PAIRS)[1:]
            scaled = [(first * EPOCH / IMAGES, second * EPOCH / IMAGES) for first, second in pairs]
            wanted = WANTED.get(name, ELSE_WANTED)
            record(3, f"epoch of {name}", "textbook's DataLoader loop", "s", scaled, wanted)


if __name__ == "__main__":
    main()
