"""Row 5: the way from the file of tensors to a batch that a network takes.

    python -m benchmarks.batches

Ours: load, shuffle, augment and normalise whole batches, several times over, because once takes 30
milliseconds. Theirs: torchvision's transforms of single pictures, as its data sets give them, in a
DataLoader with two workers, which run already; the pictures are in memory. The second row is the
share of an epoch of fit() that ours takes. Batch size, augmentation and data are those of
params.yaml, threads two; it needs what `make repro` left.
"""

import time

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.rows import in_turn, record
from src.config.params import Params
from src.config.sections import AugmentConfig, TrainConfig
from src.core import paths
from src.core.runtime import generator, set_up
from src.data.augment import augment
from src.data.checks import load_params
from src.data.imageset import ImageSet, batches, load_images
from src.models.scoring import as_pixels
from src.training.scratch import train_from_scratch

PAIRS, WORKERS, PASSES = 7, 2, 10
CEILING = 10.0  # % of an epoch
FILE = paths.SOURCE_TENSORS / paths.TRAIN


def affine(limits: AugmentConfig, image_shape: tuple[int, int, int]) -> v2.Transform:
    """The same augmentation by torchvision."""
    _, height, width = image_shape
    return v2.RandomAffine(
        degrees=limits.rotation,
        translate=(limits.shift / width, limits.shift / height),
        scale=(1 - limits.scale, 1 + limits.scale),
        interpolation=v2.InterpolationMode.BILINEAR,
    )


class Single(Dataset[tuple[Tensor, int]]):
    """One augmented picture at a time, from 0 to 255 unless `further` transforms change that."""

    def __init__(self, data: ImageSet, config: TrainConfig, *further: v2.Transform) -> None:
        self._images, self._labels = data.images[:, 0].numpy(), data.labels.tolist()
        self._transform = v2.Compose(
            [
                affine(config.augment, data.image_shape),
                v2.ToImage(),
                v2.ToDtype(torch.float32),
                *further,
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def ours(config: TrainConfig) -> float:
    """Microseconds an image."""
    begun = time.perf_counter()
    images = sum(one_pass(config) for _ in range(PASSES))
    return 1e6 * (time.perf_counter() - begun) / images


def one_pass(config: TrainConfig) -> int:
    """From the file to the last batch; returns how many images."""
    data = load_images(FILE)
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (data.mean, data.std))
    random = generator(0, "augmentation")
    for images, _ in batches(data, config.batch_size, generator(0, "shuffle")):
        pixels = (augment(as_pixels(images), config.augment, random) - mean) / std
    assert pixels.isfinite().all()
    return len(data)


def theirs(loader: DataLoader[tuple[Tensor, int]], images: int) -> float:
    begun = time.perf_counter()
    for batch in loader:
        pixels, _ = batch
    assert pixels.isfinite().all()
    return 1e6 * (time.perf_counter() - begun) / images


def trained(params: Params, config: TrainConfig, data: ImageSet) -> float:
    """Microseconds an image of an epoch."""
    tiny = data.subset(torch.arange(10))
    once = config.model_copy(update={"epochs": 1})
    [epoch] = train_from_scratch(params.model, once, data, tiny, params.seed).fit.epochs
    return 1e6 / epoch.images_per_second


def main() -> None:
    params = load_params(Params)
    set_up("cpu", threads=2, portable=False)
    config, data = params.train, load_images(FILE)
    loader = DataLoader(
        Single(data, config, v2.Normalize(data.mean, data.std)),
        config.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    in_turn(lambda: ours(config), lambda: theirs(loader, len(data)), 1)  # starts the workers
    pairs = in_turn(lambda: ours(config), lambda: theirs(loader, len(data)), PAIRS)
    record(5, "data path, an image", "torchvision in a DataLoader", "us", pairs, 15)
    in_turn(lambda: ours(config), lambda: trained(params, config, data), 1)
    pairs = in_turn(lambda: ours(config), lambda: trained(params, config, data), PAIRS)
    shares = [(100 * path / epoch, CEILING) for path, epoch in pairs]
    record(5, "data path, share of a training step", "ceiling", "%", shares, 1)


if __name__ == "__main__":
    main()
