"""Custom data: a folder with four IDX files and, if its classes have names, a list of these."""

from pathlib import Path
from typing import NamedTuple

from src.core.errors import UserError
from src.data.idx import Array, read_idx, read_shape

MOST_CLASSES = 1_000
CLASSES = "classes.txt"  # a name per line, label 0 first


class IdxFiles(NamedTuple):
    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path


class Contents(NamedTuple):
    """What is known of a folder without reading its images."""

    height: int
    width: int
    classes: tuple[str, ...]
    train_images: int


def find_files(folder: Path) -> IdxFiles:
    """The files named like MNIST's, gzipped or not; UserError unless there is one of each."""
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; folder:PATH should name a folder with IDX files")
    beginnings = ("train-images", "train-labels", "t10k-images", "t10k-labels")
    return IdxFiles(*(_only(folder, beginning) for beginning in beginnings))


def _only(folder: Path, beginning: str) -> Path:
    found = [path for path in sorted(folder.glob(f"{beginning}*")) if path.is_file()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise UserError(f"{folder}: should hold one file {beginning}-idx..., not {names}")


def inspect(folder: Path) -> Contents:
    """The folder's contents; UserError, naming the file, if they do not form a data set."""
    files = find_files(folder)
    shape, test_shape = read_shape(files.train_images), read_shape(files.test_images)
    if len(shape) not in (3, 4):
        raise UserError(
            f"{files.train_images}: should have 3 dimensions (images, height, width) "
            f"or 4 (and channels), not {len(shape)}"
        )
    if test_shape[1:] != shape[1:]:
        raise UserError(
            f"{files.test_images}: images should be {shape[1:]}, as the training images are, "
            f"not {test_shape[1:]}"
        )
    train_labels = _read_labels(files.train_labels, shape[0])
    test_labels = _read_labels(files.test_labels, test_shape[0])
    if train_labels.min() > 0:
        raise UserError(
            f"{files.train_labels}: labels should count from 0, not {train_labels.min()}"
        )
    classes = class_names(folder, train_labels, test_labels)
    return Contents(shape[1], shape[2], classes, shape[0])


def _read_labels(path: Path, images: int) -> Array:
    labels = read_idx(path)
    if labels.ndim != 1:
        raise UserError(f"{path}: labels should have 1 dimension, not {labels.ndim}")
    if len(labels) != images:
        raise UserError(f"{path}: {len(labels)} labels, but {images} images")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < MOST_CLASSES:
            raise UserError(f"{path}: labels should be 0 to {MOST_CLASSES - 1}, not {label}")
    return labels


def class_names(folder: Path, *labels: Array) -> tuple[str, ...]:
    """A name for each label: from the list, or else the numbers from 0 to the largest label."""
    count = 1 + max(int(array.max()) for array in labels)
    path = folder / CLASSES
    if not path.exists():
        return tuple(str(label) for label in range(count))
    names = read_class_names(path)
    if len(names) < count:
        raise UserError(f"{path}: should name {count} classes, a line each, not {len(names)}")
    return names


def read_class_names(path: Path) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: should be text in UTF-8") from error
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f"{path}: should name every class once, a line each, without empty lines")
    return names
