"""IDX files to train, validation and test splits."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, read_idx
from src.data.tensors import ImageSet
from src.errors import UserError


class Splits(NamedTuple):
    train: ImageSet
    val: ImageSet
    test: ImageSet


def read_splits(
    folder: Path, classes: int, val_fraction: float, generator: torch.Generator
) -> Splits:
    """The splits of a data set of `classes` classes, from the folder of its four IDX files.

    Validation is `val_fraction` of each class's training images, drawn from `generator`. Raises
    UserError, naming the file, where images and labels do not make a data set.
    """
    images, labels = _read_pair(folder / TRAIN_IMAGES, folder / TRAIN_LABELS, classes)
    test_images, test_labels = _read_pair(folder / TEST_IMAGES, folder / TEST_LABELS, classes)
    if images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"{folder / TEST_IMAGES}: images are {_size(test_images)}, "
            f"but the training images are {_size(images)}"
        )
    validates = draw_per_class(labels, lambda count: round(count * val_fraction), generator)
    mean, std = _pixel_statistics(images[~validates])
    if 0 in std:
        raise UserError(f"{folder / TRAIN_IMAGES}: all pixels of a channel are equal")
    names = tuple(str(label) for label in range(classes))
    return Splits(
        ImageSet(images[~validates], labels[~validates], names, mean, std),
        ImageSet(images[validates], labels[validates], names, mean, std),
        ImageSet(test_images, test_labels, names, mean, std),
    )


def draw_per_class(
    labels: Tensor, how_many: Callable[[int], int], generator: torch.Generator
) -> Tensor:
    """A mask, bool [N], of images drawn at random: of each class `how_many(its images)`."""
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        drawn[members[order[: how_many(len(members))]]] = True
    return drawn


def _read_pair(images_path: Path, labels_path: Path, classes: int) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(read_idx(images_path).copy())
    labels = torch.from_numpy(read_idx(labels_path).copy()).long()
    if labels.ndim != 1:
        raise UserError(f"{labels_path}: labels should have 1 dimension, not {labels.ndim}")
    if images.ndim not in (3, 4):
        raise UserError(
            f"{images_path}: should have 3 dimensions (images, height, width) "
            f"or 4 (and channels), not {images.ndim}"
        )
    if len(images) != len(labels):
        raise UserError(f"{labels_path}: {len(labels)} labels, but {len(images)} images")
    if labels.max() >= classes:
        raise UserError(f"{labels_path}: labels should be 0 to {classes - 1}, not {labels.max()}")
    channels_first = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return channels_first.contiguous(), labels


def _pixel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # Sums of integers are exact, so the statistics are the same on every machine.
    values = images.transpose(0, 1).flatten(1).long()
    count = values.shape[1]
    mean = values.sum(1).double() / count
    variance = (values * values).sum(1).double() / count - mean**2
    return tuple(mean.tolist()), tuple(variance.sqrt().tolist())


def _size(images: Tensor) -> str:
    return "x".join(str(size) for size in images.shape[1:])
