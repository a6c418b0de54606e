"""Published data sets: where they are, what their contents must be, how they become IDX files.

Addresses and MD5 sums are those that torchvision carries; MNIST's SHA-256 sums are of the files
that its mirrors serve.
"""

import bz2
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
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
from src.data.mirrors import fetch

Unpack = Callable[[Mapping[str, Path], Path], None]  # fetched files by name, into a folder


def _copy(fetched: Mapping[str, Path], folder: Path) -> None:
    """What is published is the four IDX files."""
    for name, path in fetched.items():
        with written_whole(folder / name) as partial:
            shutil.copyfile(path, partial)


def _unpack_qmnist(fetched: Mapping[str, Path], folder: Path) -> None:
    """QMNIST's labels tell eight things of each digit (Yadav and Bottou, 2019); the first is it."""
    train_images, train_labels, test_images, test_labels = fetched.values()
    _copy({TRAIN_IMAGES: train_images, TEST_IMAGES: test_images}, folder)
    for path, name in ((train_labels, TRAIN_LABELS), (test_labels, TEST_LABELS)):
        write_idx(folder / name, read_idx(path)[:, 0].astype(np.uint8))


def _unpack_emnist(split: str) -> Unpack:
    """EMNIST's images lie on their sides, its letters are counted from 1 (Cohen et al., 2017)."""

    def unpack(fetched: Mapping[str, Path], folder: Path) -> None:
        [archive] = fetched.values()
        with ZipFile(archive) as packed, tempfile.TemporaryDirectory() as unpacked:

            def read(part: str, what: str) -> Array:
                name = f"gzip/emnist-{split}-{part}-{what}-ubyte.gz"
                return read_idx(Path(packed.extract(name, unpacked)))

            first = 1 if split == "letters" else 0
            for part, images, labels in (
                ("train", TRAIN_IMAGES, TRAIN_LABELS),
                ("test", TEST_IMAGES, TEST_LABELS),
            ):
                write_idx(folder / images, read(part, "images-idx3").transpose(0, 2, 1))
                write_idx(folder / labels, read(part, "labels-idx1") - np.uint8(first))

    return unpack


def _unpack_usps(fetched: Mapping[str, Path], folder: Path) -> None:
    """USPS in LIBSVM's text format: the digit plus 1, then 256 pairs of place and ink, -1 to 1."""
    train, test = fetched.values()
    for path, images, labels in (
        (train, TRAIN_IMAGES, TRAIN_LABELS),
        (test, TEST_IMAGES, TEST_LABELS),
    ):
        with bz2.open(path, "rt", encoding="ascii") as lines:
            rows = [line.split() for line in lines]
        ink = np.array([[pair.partition(":")[2] for pair in row[1:]] for row in rows], np.float32)
        # Cut off, not rounded: as torchvision does, so that the images are the same.
        pixels = ((ink + 1) / 2 * 255).astype(np.uint8)
        write_idx(folder / images, pixels.reshape(-1, 16, 16))
        write_idx(folder / labels, np.array([int(row[0]) - 1 for row in rows], np.uint8))


class Published(NamedTuple):
    """A data set as published: the mirrors in the order they are tried, each file's checksum."""

    name: str  # of its folder among the downloads, and in a mirror of one's own
    mirrors: tuple[str, ...]
    checksums: dict[str, str]
    unpack: Unpack = _copy


def _emnist(split: str) -> Published:
    return Published(
        "emnist",
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST",),
        checksums={"gzip.zip": "md5:58c8d27c78d21e728a6bc7b3cc06412e"},
        unpack=_unpack_emnist(split),
    )


PUBLISHED = {
    "mnist": Published(
        "mnist",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ),
        checksums={
            TRAIN_IMAGES: "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            TRAIN_LABELS: "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            TEST_IMAGES: "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            TEST_LABELS: "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Published(
        "fashion-mnist",
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
        checksums={
            TRAIN_IMAGES: "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            TRAIN_LABELS: "md5:25c81989df183df01b3e8a0aad5dffbe",
            TEST_IMAGES: "md5:bef4ecab320f06d8554ea6380940ec79",
            TEST_LABELS: "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": Published(
        "kmnist",
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist",),
        checksums={
            TRAIN_IMAGES: "md5:bdb82020997e1d708af4cf47b453dcf7",
            TRAIN_LABELS: "md5:e144d726b3acfaa3e44228e80efcd344",
            TEST_IMAGES: "md5:5c965bf0a639b31b8f53240b1b52f4d7",
            TEST_LABELS: "md5:7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "qmnist": Published(
        "qmnist",
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master",),
        checksums={
            "qmnist-train-images-idx3-ubyte.gz": "md5:ed72d4157d28c017586c42bc6afe6370",
            "qmnist-train-labels-idx2-int.gz": "md5:0058f8dd561b90ffdd0f734c6a30e5e4",
            "qmnist-test-images-idx3-ubyte.gz": "md5:1394631089c404de565df7b7aeaf9412",
            "qmnist-test-labels-idx2-int.gz": "md5:5b5b05890a5e13444e108efe57b788aa",
        },
        unpack=_unpack_qmnist,
    ),
    "emnist-letters": _emnist("letters"),
    "emnist-balanced": _emnist("balanced"),
    "emnist-digits": _emnist("digits"),
    "usps": Published(
        "usps",
        mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass",),
        checksums={
            "usps.bz2": "md5:ec16c51db3855ca6c91edd34d0e9b197",
            "usps.t.bz2": "md5:8ea070ee2aca1ac39742fdd1ef5ed118",
        },
        unpack=_unpack_usps,
    ),
}


def obtain_published(dataset: str, folder: Path, downloads: Path) -> None:
    """Write the IDX files of a data set; what is fetched stays in a folder of `downloads`."""
    published = PUBLISHED[dataset]
    fetched = {
        name: fetch(name, checksum, published.mirrors, downloads / published.name)
        for name, checksum in published.checksums.items()
    }
    published.unpack(fetched, folder)
