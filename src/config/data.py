"""`data`: which data sets, and how much of their training images validates."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from src.config.section import Section


class Facts(NamedTuple):
    """What is known of a data set before it is downloaded."""

    height: int
    width: int
    classes: int
    train_images: int


Dataset = Literal["mnist-5k", "optdigits", "mnist"]

FACTS: dict[Dataset, Facts] = {
    "mnist-5k": Facts(28, 28, 10, 4_000),
    "optdigits": Facts(28, 28, 10, 1_442),
    "mnist": Facts(28, 28, 10, 60_000),
}


class DataConfig(Section):
    source: Dataset
    target: Dataset
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
