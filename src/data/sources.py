"""Data sets by name: their facts, and their IDX files from a package, the web or a folder."""

from functools import cache
from pathlib import Path
from urllib.parse import quote

import numpy as np

from src.core import paths
from src.core.errors import UserError
from src.core.files import write_text
from src.data.catalogue import CATALOGUE, Facts, Packaged, Published
from src.data.folders import CLASSES, find_files, inspect, read_class_names
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Array,
    read_idx,
    read_pieces,
    read_shape,
    same_content,
    write_idx,
    write_pieces,
)
from src.data.mirrors import fetch
from src.data.packaged import split

FOLDER = "folder:"  # begins the name of custom data


def check_name(key: str, dataset: str) -> None:
    """Raise UserError, naming the key, unless this is the name of a data set."""
    if dataset not in CATALOGUE and dataset.removeprefix(FOLDER) in ("", dataset):
        raise UserError(f"{key}: should be {', '.join(CATALOGUE)} or {FOLDER}PATH, not {dataset!r}")


@cache  # a sweep asks again for every trial
def facts_of(dataset: str) -> Facts:
    """What is known of a data set; UserError if it is a folder without one."""
    custom = custom_folder(dataset)
    if custom is None:
        return CATALOGUE[dataset].facts
    # Once it has been copied, the folder need not be there any more.
    folder = custom if custom.exists() else raw_folder(dataset)
    contents = inspect(folder if folder.exists() else custom)
    height, width, classes, images, _ = contents
    return Facts(height, width, classes, images, frozenset({str(custom.resolve())}))


def classes_of(dataset: str) -> tuple[str, ...]:
    """The names of the classes of a data set whose IDX files are in its raw folder."""
    if custom_folder(dataset) is None:
        return CATALOGUE[dataset].facts.classes
    return read_class_names(raw_folder(dataset) / CLASSES)


def custom_folder(dataset: str) -> Path | None:
    """Where custom data are; a relative path starts at the repository's root."""
    path = dataset.removeprefix(FOLDER)
    return paths.root() / Path(path).expanduser() if path != dataset else None


def raw_folder(dataset: str) -> Path:
    """Where the IDX files of a data set are put."""
    return paths.RAW / quote(dataset, safe=":")


def obtain(dataset: str, folder: Path, downloads: Path) -> None:
    """Put the four IDX files of `dataset` into `folder`; downloaded files stay in `downloads`, too.

    The class names of custom data are put beside them. Raises UserError if no mirror has a file
    with the right contents, or if a folder does not hold a data set.
    """
    custom = custom_folder(dataset)
    if custom:
        _copy_custom(custom, folder)
        return
    match CATALOGUE[dataset].source:
        case Packaged(read):
            images, labels = read()
            train, test = split(labels)
            _write(folder, images[train], labels[train], images[test], labels[test])
        case Published() as published:
            files = {
                name: fetch(
                    name,
                    checksum,
                    published.most,
                    published.mirrors,
                    downloads / published.folder,
                )
                for name, checksum in published.checksums.items()
            }
            published.unpack(files, folder)


def is_current_copy(custom: Path, folder: Path) -> bool:
    """Whether custom data are still what was copied into `folder`."""
    about = inspect(custom)
    pairs = [*zip(find_files(custom), find_files(folder), strict=True)]
    return (
        about.classes == read_class_names(folder / CLASSES)
        and all(same_content(images, copy) for images, copy in pairs[::2])
        and all(
            np.array_equal(read_idx(labels) - about.first_label, read_idx(copy))
            for labels, copy in pairs[1::2]
        )
    )


def _copy_custom(custom: Path, folder: Path) -> None:
    """Whatever the files are called and however they are packed, the copies are as MNIST's are."""
    about = inspect(custom)
    if about.first_label:
        first = about.classes[0]
        print(f"{custom}: labels count from 1: label 1 is the first class, called {first}")
    files = find_files(custom)
    for path, name in ((files.train_images, TRAIN_IMAGES), (files.test_images, TEST_IMAGES)):
        write_pieces(folder / name, np.dtype(np.uint8), read_shape(path), read_pieces(path))
    for path, name in ((files.train_labels, TRAIN_LABELS), (files.test_labels, TEST_LABELS)):
        write_idx(folder / name, read_idx(path) - about.first_label)
    write_text("".join(f"{name}\n" for name in about.classes), folder / CLASSES)


def _write(folder: Path, *arrays: Array) -> None:
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    for name, array in zip(names, arrays, strict=True):
        write_idx(folder / name, array)
