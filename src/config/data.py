"""`data`: which data sets, and how much of their training images validates."""

import string
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote

from pydantic import AfterValidator, Field

from src.config.section import Section
from src.core import paths
from src.data.folders import CLASSES, look_into, read_class_names

FOLDER = "folder:"  # begins the name of a data set of one's own

DIGITS = tuple(string.digits)
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# The lower case of the others looks like their upper case.
BALANCED = (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt")


class Facts(NamedTuple):
    """What is known of a data set before its images are read."""

    height: int
    width: int
    classes: tuple[str, ...]
    train_images: int
    # Data sets of one origin share images: one's test images may train another.
    origins: frozenset[str]


# All of NIST's handwriting was cut from the same forms.
NIST_DIGITS, NIST_LETTERS = "NIST's digits", "NIST's letters"

FACTS = {
    "mnist-5k": Facts(28, 28, DIGITS, 4_000, frozenset({NIST_DIGITS})),
    "optdigits": Facts(28, 28, DIGITS, 1_442, frozenset({"optdigits"})),
    "mnist": Facts(28, 28, DIGITS, 60_000, frozenset({NIST_DIGITS})),
    "fashion-mnist": Facts(28, 28, FASHION, 60_000, frozenset({"fashion"})),
    "kmnist": Facts(28, 28, HIRAGANA, 60_000, frozenset({"kmnist"})),
    "qmnist": Facts(28, 28, DIGITS, 60_000, frozenset({NIST_DIGITS})),
    "emnist-letters": Facts(
        28, 28, tuple(string.ascii_uppercase), 124_800, frozenset({NIST_LETTERS})
    ),
    "emnist-balanced": Facts(28, 28, BALANCED, 112_800, frozenset({NIST_DIGITS, NIST_LETTERS})),
    "emnist-digits": Facts(28, 28, DIGITS, 240_000, frozenset({NIST_DIGITS})),
    "usps": Facts(16, 16, DIGITS, 7_291, frozenset({"usps"})),
}


def _known(dataset: str) -> str:
    if dataset in FACTS or dataset.removeprefix(FOLDER) not in ("", dataset):
        return dataset
    raise ValueError(f"should be {', '.join(FACTS)} or {FOLDER}PATH, not {dataset!r}")


Dataset = Annotated[str, AfterValidator(_known)]


class DataConfig(Section):
    source: Dataset
    target: Dataset
    val_fraction: Annotated[float, Field(gt=0, lt=1)]

    def val_images(self, images: int) -> int:
        """How many of a class's training images validate."""
        return round(images * self.val_fraction)


@cache  # the sweep asks anew for every trial
def facts_of(dataset: str) -> Facts:
    """What is known of a data set; UserError if it is a folder without one."""
    own = own_folder(dataset)
    if own is None:
        return FACTS[dataset]
    # Once it has been taken over, the folder need not be there any more.
    folder = own if own.exists() else raw_folder(dataset)
    return Facts(*look_into(folder if folder.exists() else own), frozenset({str(own.resolve())}))


def classes_of(dataset: str) -> tuple[str, ...]:
    """The names of the classes of a data set whose IDX files have been put where they belong."""
    if own_folder(dataset) is None:
        return FACTS[dataset].classes
    return read_class_names(raw_folder(dataset) / CLASSES)


def own_folder(dataset: str) -> Path | None:
    """Where a data set of one's own is; its path is meant as seen from the repository's root."""
    path = dataset.removeprefix(FOLDER)
    return paths.root() / path if path != dataset else None


def raw_folder(dataset: str) -> Path:
    """Where the IDX files of a data set are put."""
    return paths.RAW / quote(dataset, safe=":")
