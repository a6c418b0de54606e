"""Labelled images as tensors: one file per split, and the batches drawn from it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from src.errors import UserError
from src.files import written_whole

# One entry holds all metadata: safetensors writes several in an order that changes between runs.
METADATA = "idxflow"


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set, small enough to live on the device as bytes.

    images: uint8 [N, C, H, W], 0 is the background; labels: int64 [N], indices into `classes`.
    mean, std: of the data set's training pixels, per channel, on the scale 0 to 255.
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

    def subset(self, indices: Tensor) -> Self:
        return replace(self, images=self.images[indices], labels=self.labels[indices])


def save_images(path: Path, data: ImageSet) -> None:
    """Write the split; equal data give equal bytes."""
    about = {"classes": data.classes, "mean": data.mean, "std": data.std}
    tensors = {"images": data.images.contiguous(), "labels": data.labels.contiguous()}
    with written_whole(path) as partial:
        save_file(tensors, partial, metadata={METADATA: json.dumps(about)})


def load_images(path: Path) -> ImageSet:
    """Read a split; UserError if the file is missing or was not written by `save_images`."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA])
            images, labels = file.get_tensor("images"), file.get_tensor("labels")
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro preprocess` makes it") from None
    except (SafetensorError, TypeError, KeyError):
        raise UserError(
            f"{path}: not image tensors; `dvc repro -f preprocess` remakes it"
        ) from None
    return ImageSet(
        images, labels, tuple(about["classes"]), tuple(about["mean"]), tuple(about["std"])
    )


def batches(
    data: ImageSet, size: int, shuffle: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images uint8 [B, C, H, W] and labels int64 [B], B = `size` but for the last; each image once.

    In the order stored, or in one drawn from `shuffle`, a CPU generator wherever the data are.
    """
    if shuffle is None:
        yield from zip(data.images.split(size), data.labels.split(size), strict=True)
        return
    order = torch.randperm(len(data), generator=shuffle).to(data.labels.device)
    for chosen in order.split(size):
        yield data.images[chosen], data.labels[chosen]
