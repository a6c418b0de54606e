"""Where each data set comes from: an installed package, mirrors, or a folder of one's own."""

from pathlib import Path

import numpy as np

from src.config.data import own_folder
from src.core.files import written_whole
from src.data import embedded
from src.data.folders import CLASSES, find_files, look_into, read_class_names
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Array,
    read_idx,
    write_idx,
)
from src.data.published import obtain_published


def obtain(dataset: str, folder: Path, downloads: Path) -> None:
    """Put the four IDX files of `dataset` into `folder`; what is fetched stays in `downloads`, too.

    Of a data set of one's own, the names of its classes are put beside them. Raises UserError if
    no mirror has a file with the right contents, or if one's own are no data set.
    """
    own = own_folder(dataset)
    if own:
        _take_over(own, folder)
    elif dataset == "mnist-5k":
        _divide(folder, *embedded.mnist_5k())
    elif dataset == "optdigits":
        _divide(folder, *embedded.optdigits())
    else:
        obtain_published(dataset, folder, downloads)


def is_as_taken_over(own: Path, folder: Path) -> bool:
    """Whether a data set of one's own is still what was put into `folder`."""
    pairs = zip(find_files(own), find_files(folder), strict=True)
    if not all(np.array_equal(read_idx(path), read_idx(copy)) for path, copy in pairs):
        return False
    return look_into(own).classes == read_class_names(folder / CLASSES)


def _divide(folder: Path, images: Array, labels: Array) -> None:
    train, test = embedded.split(labels)
    _write(folder, images[train], labels[train], images[test], labels[test])


def _take_over(own: Path, folder: Path) -> None:
    """Whatever the files are called and however they are packed, they are then as MNIST's are."""
    names = look_into(own).classes
    arrays = [read_idx(path) for path in find_files(own)]
    _write(folder, *arrays)
    with written_whole(folder / CLASSES) as partial:
        partial.write_text("".join(f"{name}\n" for name in names), "utf-8")


def _write(folder: Path, *arrays: Array) -> None:
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    for name, array in zip(names, arrays, strict=True):
        write_idx(folder / name, array)
