"""`data`: which data sets, and how much of their training images validates."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from src.config.section import Section

Dataset = Literal["mnist-5k", "optdigits", "mnist"]

DIGITS = tuple("0123456789")


class Facts(NamedTuple):
    """What is known of a data set before it is downloaded."""

    height: int
    width: int
    classes: tuple[str, ...]
    train_images: int
    origin: str  # data sets of one origin share images: one's test images may train another


FACTS: dict[Dataset, Facts] = {
    "mnist-5k": Facts(28, 28, DIGITS, 4_000, origin="mnist"),
    "optdigits": Facts(28, 28, DIGITS, 1_442, origin="optdigits"),
    "mnist": Facts(28, 28, DIGITS, 60_000, origin="mnist"),
}


class DataConfig(Section):
    source: Dataset
    target: Dataset
    val_fraction: Annotated[float, Field(gt=0, lt=1)]

    def val_images(self, images: int) -> int:
        """How many of a class's training images validate."""
        return round(images * self.val_fraction)
