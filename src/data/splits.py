"""IDX files to train, validation and test splits."""

import mmap
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, NamedTuple

import torch
from torch import Tensor

from src.core.errors import UserError
from src.core.files import named_on_failure
from src.data.framing import fit_images
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    read_idx,
    read_pieces,
    read_shape,
)
from src.data.imageset import ImageSet, draw_per_class, present
from src.data.pixels import histogram, mean_and_std

Shape = tuple[int, int, int]  # channels, height, width


class Splits(NamedTuple):
    train: ImageSet
    val: ImageSet
    test: ImageSet


def read_splits(
    folder: Path,
    classes: tuple[str, ...],
    val_images: Callable[[int], int],
    generator: torch.Generator,
    image_shape: Shape | None = None,
    scratch: Path | None = None,
) -> Splits:
    """The splits of a data set with these classes, from the folder of its four IDX files.

    Of a class with n training images, `val_images(n)` are drawn from `generator` for validation.
    image_shape: channels, height and width to convert the images to; None keeps theirs.
    scratch: a folder on the disk that the images are unpacked to; None is the system's.
    Raises UserError, naming the file, if images and labels do not form a data set.
    """
    shape, labels = _read_labels(folder / TRAIN_IMAGES, folder / TRAIN_LABELS, len(classes))
    test_shape, test_labels = _read_labels(folder / TEST_IMAGES, folder / TEST_LABELS, len(classes))
    if shape != test_shape:
        raise UserError(
            f"{folder / TEST_IMAGES}: images are {_size(test_shape)}, "
            f"but the training images are {_size(shape)}"
        )
    held_out = draw_per_class(labels, val_images, generator)
    if not held_out.any() or len(present(labels[~held_out])) < len(present(labels)):
        raise UserError(
            "data.val_fraction: should leave images to validate, and some of each class to train"
        )
    everything = torch.ones(len(test_labels), dtype=torch.bool)
    size = image_shape or shape
    train, val = _chosen(folder / TRAIN_IMAGES, size, [~held_out, held_out], scratch)
    [test] = _chosen(folder / TEST_IMAGES, size, [everything], scratch)
    mean, std = zip(*(mean_and_std(counts) for counts in histogram(train)), strict=True)
    if 0 in std:
        raise UserError(f"{folder / TRAIN_IMAGES}: all pixels of a channel are equal")
    return Splits(
        ImageSet(train, labels[~held_out], classes, mean, std),
        ImageSet(val, labels[held_out], classes, mean, std),
        ImageSet(test, test_labels, classes, mean, std),
    )


def _read_labels(images_path: Path, labels_path: Path, classes: int) -> tuple[Shape, Tensor]:
    """The shape of the images, and their labels."""
    shape = read_shape(images_path)
    if len(shape) not in (3, 4):
        raise UserError(
            f"{images_path}: should have 3 dimensions (images, height, width) "
            f"or 4 (and channels), not {len(shape)}"
        )
    labels = torch.from_numpy(read_idx(labels_path)).long()
    if labels.ndim != 1:
        raise UserError(f"{labels_path}: labels should have 1 dimension, not {labels.ndim}")
    if len(labels) != shape[0]:
        raise UserError(f"{labels_path}: {len(labels)} labels, but {shape[0]} images")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < classes:
            raise UserError(f"{labels_path}: labels should be 0 to {classes - 1}, not {label}")
    height, width, channels = (*shape[1:], 1)[:3]
    return (channels, height, width), labels


def _chosen(
    path: Path, image_shape: Shape, masks: Sequence[Tensor], scratch: Path | None
) -> list[Tensor]:
    """For each mask, bool [N], those images of an IDX file, as uint8 [n, *image_shape].

    Mapped from unnamed temporary files, which vanish with the tensors: on a disk, the images take
    no memory, however many they are.
    """
    folder = scratch or Path(gettempdir())
    with ExitStack() as stack:
        with named_on_failure(folder):
            files = [stack.enter_context(TemporaryFile(dir=folder)) for _ in masks]
        first = 0
        for piece in read_pieces(path):
            images = fit_images(_channels_first(torch.from_numpy(piece)), image_shape)
            with named_on_failure(folder):
                for file, mask in zip(files, masks, strict=True):
                    file.write(images[mask[first : first + len(images)]].numpy().data)
            first += len(images)
        with named_on_failure(folder):
            return [_mapped(file).view(-1, *image_shape) for file in files]


def _channels_first(images: Tensor) -> Tensor:
    found = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return found.contiguous()


def _mapped(file: IO[bytes]) -> Tensor:
    file.flush()
    return torch.frombuffer(mmap.mmap(file.fileno(), 0), dtype=torch.uint8)


def _size(shape: Shape) -> str:
    return "x".join(str(size) for size in shape)
