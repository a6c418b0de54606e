"""Custom data: a folder with four IDX files and, if its classes have names, a list of these."""

from pathlib import Path
from typing import NamedTuple

from src.core.errors import UserError
from src.data.idx import Array, read_idx, read_shape, same_content

MOST_CLASSES = 1_000
CLASSES = "classes.txt"  # a name per line, the first label's first
CHANNELS = (1, 3)


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
    first_label: int  # 0, or 1 as MATLAB counts


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
    if len(found) == 2 and found[1].name == f"{found[0].name}.gz":
        return _either(*found)
    names = ", ".join(path.name for path in found) or "none"
    raise UserError(f"{folder}: should hold one file {beginning}-idx..., not {names}")


def _either(plain: Path, packed: Path) -> Path:
    """One of a file and its packed copy, which a download may leave beside it."""
    if same_content(plain, packed):
        return plain
    raise UserError(f"{plain}: differs from {packed.name} beside it; keep the right one of them")


def inspect(folder: Path) -> Contents:
    """The folder's contents; UserError, naming the file, if they do not form a data set."""
    files = find_files(folder)
    shape, test_shape = read_shape(files.train_images), read_shape(files.test_images)
    _check_shapes(files, shape, test_shape)
    train_labels = _read_labels(files.train_labels, shape[0])
    test_labels = _read_labels(files.test_labels, test_shape[0])
    first, classes = _classes(folder, train_labels, test_labels)
    _check_labels(files, train_labels - first, test_labels - first, classes)
    return Contents(shape[1], shape[2], classes, shape[0], first)


def _check_shapes(files: IdxFiles, shape: tuple[int, ...], test_shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4):
        raise UserError(
            f"{files.train_images}: should have 3 dimensions (images, height, width) "
            f"or 4 (and channels), not {len(shape)}"
        )
    if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS:
        raise UserError(
            f"{files.train_images}: channels should come last (images, height, width, channels), "
            f"not second, as in {shape}"
        )
    if test_shape[1:] != shape[1:]:
        raise UserError(
            f"{files.test_images}: images should be {shape[1:]}, as the training images are, "
            f"not {test_shape[1:]}"
        )


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


def _classes(folder: Path, *labels: Array) -> tuple[int, tuple[str, ...]]:
    """The first label, and a name for each: from the list, or else the numbers themselves."""
    smallest = min(int(array.min()) for array in labels)
    largest = max(int(array.max()) for array in labels)
    path = folder / CLASSES
    if not path.exists():
        first = min(smallest, 1)
        return first, tuple(str(label) for label in range(first, largest + 1))
    names = read_class_names(path)
    if smallest > 0 and len(names) == largest:
        return 1, names
    if len(names) <= largest:
        raise UserError(f"{path}: should name {largest + 1} classes, a line each, not {len(names)}")
    return 0, names


def _check_labels(files: IdxFiles, train: Array, test: Array, classes: tuple[str, ...]) -> None:
    """Raise UserError where no sensible training can follow; labels count from 0."""
    trained, tested = set(train.tolist()), set(test.tolist())
    if unseen := sorted(tested - trained):
        raise UserError(
            f"{files.train_labels}: has no image of class {classes[unseen[0]]}, which "
            f"{files.test_labels.name} has"
        )
    if len(trained) < 2:
        raise UserError(f"{files.train_labels}: should have two classes at least, not one")
    if len(trained) < len(classes) and not (files.train_labels.parent / CLASSES).exists():
        gap = next(name for label, name in enumerate(classes) if label not in trained)
        raise UserError(
            f"{files.train_labels}: labels should have no gaps, but {gap} is missing below "
            f"{classes[-1]}; if it is meant so, name all {len(classes)} classes in {CLASSES}"
        )


def read_class_names(path: Path) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: should be text in UTF-8") from error
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f"{path}: should name every class once, a line each, without empty lines")
    return names
