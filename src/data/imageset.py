"""Labelled images as tensors: one file per split, and its batches."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor

from src.core.errors import UserError
from src.core.tensorfile import read_tensors, write_tensors


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set, small enough to live on the device as bytes.

    images: uint8 [N, C, H, W], 0 is the background; labels: int64 [N], indices into `classes`.
    mean, std: of the training pixels, per channel, on the scale 0 to 255.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def to(self, device: torch.device) -> Self:
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def first_of(self, label: int, most: int) -> Tensor:
        """The first images of a class, `most` at most."""
        return self.images[(self.labels == label).nonzero().flatten()[:most]]

    def subset(self, indices: Tensor) -> Self:
        return replace(self, images=self.images[indices], labels=self.labels[indices])


class TrainVal(NamedTuple):
    """What a training learns from, and what it is validated on."""

    train: ImageSet
    val: ImageSet


def join(first: ImageSet, second: ImageSet) -> ImageSet:
    """The images of both, in this order."""
    return replace(
        first,
        images=torch.cat([first.images, second.images]),
        labels=torch.cat([first.labels, second.labels]),
    )


def save_images(path: Path, data: ImageSet) -> None:
    """Write the split; equal data give equal bytes."""
    about = {"classes": data.classes, "mean": data.mean, "std": data.std}
    write_tensors(path, {"images": data.images, "labels": data.labels}, about)


def load_images(path: Path) -> ImageSet:
    """Read a split; UserError if the file is missing or was not written by `save_images`."""
    tensors, about = read_tensors(path)
    try:
        classes, mean, std = (tuple(about[key]) for key in ("classes", "mean", "std"))
        return ImageSet(tensors["images"], tensors["labels"], classes, mean, std)
    except KeyError as missing:
        raise UserError(f"{path}: not a file of labelled images: no {missing}") from missing


def present(labels: Tensor) -> Tensor:
    """The labels that occur, in order; `unique` would sort a copy of them."""
    return labels.bincount().nonzero().flatten()


def draw_per_class(
    labels: Tensor, how_many: Callable[[int], int], generator: torch.Generator
) -> Tensor:
    """A mask, bool [N], of images drawn at random: `how_many(n)` of each class with n images."""
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label in present(labels):
        members = (labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        drawn[members[order[: how_many(len(members))]]] = True
    return drawn


def batches(
    data: ImageSet, size: int, shuffle: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images uint8 [B, C, H, W] and labels int64 [B], each image once, B at most `size`.

    In stored order, or in an order drawn from `shuffle`, a CPU generator wherever the data are.
    Batch sizes differ by one at most: a small last batch would distort batch norm's statistics.
    """
    count = math.ceil(len(data) / size)
    if shuffle is None:
        yield from zip(
            data.images.tensor_split(count), data.labels.tensor_split(count), strict=True
        )
        return
    order = torch.randperm(len(data), generator=shuffle).to(data.labels.device)
    for chosen in order.tensor_split(count):
        yield data.images[chosen], data.labels[chosen]
