"""IDX files to train, validation and test splits."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from src.core.errors import UserError
from src.data.framing import fit_images
from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, read_idx
from src.data.imageset import ImageSet, draw_per_class
from src.data.pixels import histogram, mean_and_std


class Splits(NamedTuple):
    train: ImageSet
    val: ImageSet
    test: ImageSet


def read_splits(
    folder: Path,
    classes: tuple[str, ...],
    val_images: Callable[[int], int],
    generator: torch.Generator,
    image_shape: tuple[int, int, int] | None = None,
) -> Splits:
    """The splits of a data set with these classes, from the folder of its four IDX files.

    Of a class with n training images, `val_images(n)` are drawn from `generator` for validation.
    image_shape: channels, height and width to convert the images to; None keeps theirs.
    Raises UserError, naming the file, if images and labels do not form a data set.
    """
    images, labels = _read_pair(folder / TRAIN_IMAGES, folder / TRAIN_LABELS, len(classes))
    test_images, test_labels = _read_pair(folder / TEST_IMAGES, folder / TEST_LABELS, len(classes))
    if images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"{folder / TEST_IMAGES}: images are {_size(test_images)}, "
            f"but the training images are {_size(images)}"
        )
    if image_shape is not None:
        images, test_images = fit_images(images, image_shape), fit_images(test_images, image_shape)
    held_out = draw_per_class(labels, val_images, generator)
    if not held_out.any() or labels[~held_out].unique().numel() < labels.unique().numel():
        raise UserError(
            "data.val_fraction: should leave images to validate, and some of each class to train"
        )
    train_images = images[~held_out]
    mean, std = zip(*(mean_and_std(counts) for counts in histogram(train_images)), strict=True)
    if 0 in std:
        raise UserError(f"{folder / TRAIN_IMAGES}: all pixels of a channel are equal")
    return Splits(
        ImageSet(train_images, labels[~held_out], classes, mean, std),
        ImageSet(images[held_out], labels[held_out], classes, mean, std),
        ImageSet(test_images, test_labels, classes, mean, std),
    )


def _read_pair(images_path: Path, labels_path: Path, classes: int) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(read_idx(images_path))
    labels = torch.from_numpy(read_idx(labels_path)).long()
    if labels.ndim != 1:
        raise UserError(f"{labels_path}: labels should have 1 dimension, not {labels.ndim}")
    if images.ndim not in (3, 4):
        raise UserError(
            f"{images_path}: should have 3 dimensions (images, height, width) "
            f"or 4 (and channels), not {images.ndim}"
        )
    if images.dtype != torch.uint8:
        raise UserError(f"{images_path}: values should be unsigned bytes, not wider integers")
    if len(images) != len(labels):
        raise UserError(f"{labels_path}: {len(labels)} labels, but {len(images)} images")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < classes:
            raise UserError(f"{labels_path}: labels should be 0 to {classes - 1}, not {label}")
    channels_first = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return channels_first.contiguous(), labels


def _size(images: Tensor) -> str:
    return "x".join(str(size) for size in images.shape[1:])
