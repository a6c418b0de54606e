"""Every data set in one row: what is known of it, where it comes from, how it becomes IDX files.

Addresses and MD5 sums are those that torchvision carries; MNIST's SHA-256 sums are of the files
that its mirrors serve. To add a data set, add a row, and its origin to those it shares images with.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from src.data import packaged
from src.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Bytes
from src.data.unpack import Unpack, copy_idx, emnist, qmnist, usps


class Facts(NamedTuple):
    """What is known of a data set before its images are read."""

    height: int
    width: int
    classes: tuple[str, ...]
    train_images: int
    # Data sets of one origin share images: test images of one may be training images of another.
    origins: frozenset[str]


@dataclass(frozen=True)
class Packaged:
    """Comes with an installed package: `read` gives images [N, H, W] and labels [N]."""

    read: Callable[[], tuple[Bytes, Bytes]]


@dataclass(frozen=True)
class Published:
    """Comes from the web."""

    folder: str  # among the downloads, and in DATA_MIRROR
    mirrors: tuple[str, ...]  # in the order in which they are tried
    most: int  # bytes of its largest file, rounded up
    checksums: dict[str, str]  # of each file
    unpack: Unpack = copy_idx


class Dataset(NamedTuple):
    facts: Facts
    source: Packaged | Published


DIGITS = tuple(string.digits)
LETTERS = tuple(string.ascii_uppercase)
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# The other lower-case letters look like their upper case.
BALANCED = (*DIGITS, *LETTERS, *"abdefghnqrt")

# NIST's digits were cut from the same forms, and so were its letters.
NIST_DIGITS, NIST_LETTERS = "NIST's digits", "NIST's letters"


def _facts(size: int, classes: tuple[str, ...], train_images: int, *origins: str) -> Facts:
    return Facts(size, size, classes, train_images, frozenset(origins))


def _emnist(split: str) -> Published:
    first = 1 if split == "letters" else 0  # of its labels
    return Published(
        "emnist",
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST",),
        most=600_000_000,
        checksums={"gzip.zip": "md5:58c8d27c78d21e728a6bc7b3cc06412e"},
        unpack=emnist(split, first),
    )


CATALOGUE = {
    "mnist-5k": Dataset(_facts(28, DIGITS, 4_000, NIST_DIGITS), Packaged(packaged.mnist_5k)),
    "optdigits": Dataset(_facts(28, DIGITS, 1_442, "optdigits"), Packaged(packaged.optdigits)),
    "mnist": Dataset(
        _facts(28, DIGITS, 60_000, NIST_DIGITS),
        Published(
            "mnist",
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
            ),
            most=10_000_000,
            checksums={
                TRAIN_IMAGES: "sha256:"
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                TRAIN_LABELS: "sha256:"
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                TEST_IMAGES: "sha256:"
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                TEST_LABELS: "sha256:"
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
        ),
    ),
    "fashion-mnist": Dataset(
        _facts(28, FASHION, 60_000, "fashion"),
        Published(
            "fashion-mnist",
            mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
            most=27_000_000,
            checksums={
                TRAIN_IMAGES: "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                TRAIN_LABELS: "md5:25c81989df183df01b3e8a0aad5dffbe",
                TEST_IMAGES: "md5:bef4ecab320f06d8554ea6380940ec79",
                TEST_LABELS: "md5:bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
    ),
    "kmnist": Dataset(
        _facts(28, HIRAGANA, 60_000, "kmnist"),
        Published(
            "kmnist",
            mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist",),
            most=20_000_000,
            checksums={
                TRAIN_IMAGES: "md5:bdb82020997e1d708af4cf47b453dcf7",
                TRAIN_LABELS: "md5:e144d726b3acfaa3e44228e80efcd344",
                TEST_IMAGES: "md5:5c965bf0a639b31b8f53240b1b52f4d7",
                TEST_LABELS: "md5:7320c461ea6c1c855c0b718fb2a4b134",
            },
        ),
    ),
    "qmnist": Dataset(
        _facts(28, DIGITS, 60_000, NIST_DIGITS),
        Published(
            "qmnist",
            mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master",),
            most=12_000_000,
            checksums={
                "qmnist-train-images-idx3-ubyte.gz": "md5:ed72d4157d28c017586c42bc6afe6370",
                "qmnist-train-labels-idx2-int.gz": "md5:0058f8dd561b90ffdd0f734c6a30e5e4",
                "qmnist-test-images-idx3-ubyte.gz": "md5:1394631089c404de565df7b7aeaf9412",
                "qmnist-test-labels-idx2-int.gz": "md5:5b5b05890a5e13444e108efe57b788aa",
            },
            unpack=qmnist,
        ),
    ),
    "emnist-letters": Dataset(_facts(28, LETTERS, 124_800, NIST_LETTERS), _emnist("letters")),
    "emnist-balanced": Dataset(
        _facts(28, BALANCED, 112_800, NIST_DIGITS, NIST_LETTERS), _emnist("balanced")
    ),
    "emnist-digits": Dataset(_facts(28, DIGITS, 240_000, NIST_DIGITS), _emnist("digits")),
    "usps": Dataset(
        _facts(16, DIGITS, 7_291, "usps"),
        Published(
            "usps",
            mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass",),
            most=7_000_000,
            checksums={
                "usps.bz2": "md5:ec16c51db3855ca6c91edd34d0e9b197",
                "usps.t.bz2": "md5:8ea070ee2aca1ac39742fdd1ef5ed118",
            },
            unpack=usps,
        ),
    ),
}
