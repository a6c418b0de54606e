"""What is published, as the four IDX files of MNIST."""

import bz2
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from src.core.files import written_whole
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Array,
    read_idx,
    write_idx,
)

Unpack = Callable[[Mapping[str, Path], Path], None]  # downloaded files by name, into a folder


def copy_idx(files: Mapping[str, Path], folder: Path) -> None:
    """What is published is the four IDX files."""
    for name, path in files.items():
        with written_whole(folder / name) as partial:
            shutil.copyfile(path, partial)


def qmnist(files: Mapping[str, Path], folder: Path) -> None:
    """QMNIST has eight values per label (Yadav and Bottou, 2019); the first is the digit."""
    train_images, train_labels, test_images, test_labels = files.values()
    copy_idx({TRAIN_IMAGES: train_images, TEST_IMAGES: test_images}, folder)
    for path, name in ((train_labels, TRAIN_LABELS), (test_labels, TEST_LABELS)):
        write_idx(folder / name, read_idx(path)[:, 0].astype(np.uint8))


def emnist(split: str, first: int) -> Unpack:
    """A split of EMNIST, whose images are transposed; `first` is its smallest label.

    Source: Cohen, Afshar, Tapson and van Schaik, 2017.
    """

    def unpack(files: Mapping[str, Path], folder: Path) -> None:
        [archive] = files.values()
        with ZipFile(archive) as packed, tempfile.TemporaryDirectory() as unpacked:

            def read(part: str, what: str) -> Array:
                name = f"gzip/emnist-{split}-{part}-{what}-ubyte.gz"
                return read_idx(Path(packed.extract(name, unpacked)))

            for part, images, labels in (
                ("train", TRAIN_IMAGES, TRAIN_LABELS),
                ("test", TEST_IMAGES, TEST_LABELS),
            ):
                write_idx(folder / images, read(part, "images-idx3").transpose(0, 2, 1))
                write_idx(folder / labels, read(part, "labels-idx1") - np.uint8(first))

    return unpack


def usps(files: Mapping[str, Path], folder: Path) -> None:
    """USPS is LIBSVM text: the digit plus 1, then 256 pairs `place:value`, values from -1 to 1."""
    train, test = files.values()
    for path, images, labels in (
        (train, TRAIN_IMAGES, TRAIN_LABELS),
        (test, TEST_IMAGES, TEST_LABELS),
    ):
        with bz2.open(path, "rt", encoding="ascii") as lines:
            rows = [line.split() for line in lines]
        values = np.array(
            [[pair.partition(":")[2] for pair in row[1:]] for row in rows], np.float32
        )
        # Truncated, not rounded, as torchvision does: the images are then the same.
        pixels = ((values + 1) / 2 * 255).astype(np.uint8)
        write_idx(folder / images, pixels.reshape(-1, 16, 16))
        write_idx(folder / labels, np.array([int(row[0]) - 1 for row in rows], np.uint8))
