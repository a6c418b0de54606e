"""From pictures to answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from src.inference.engines import Engine
from src.inference.pictures import Picture
from src.inference.preparation import Prepared, prepare

AT_A_TIME = 256  # pictures that are prepared before the model reads them


@dataclass(frozen=True)
class Answer:
    """What a model says of an image.

    ranked: class names and their probabilities, 0 to 1, the likeliest first; unlike: whether the
    image is unlike those of training, None for a model that evaluate has not seen.
    """

    ranked: tuple[tuple[str, float], ...]
    unlike: bool | None

    @property
    def label(self) -> str:
        return self.ranked[0][0]

    @property
    def probability(self) -> float:
        return self.ranked[0][1]


def answers(engine: Engine, pixels: np.ndarray) -> Iterator[Answer]:
    """One for each image of uint8 [N, C, H, W]."""
    usage, outputs = engine.usage, engine.run(pixels)
    for row, distance in zip(outputs.probabilities, outputs.distances, strict=True):
        order = np.argsort(-row, kind="stable")
        ranked = tuple((usage.classes[label], float(row[label])) for label in order)
        yield Answer(ranked, None if usage.furthest is None else bool(distance > usage.furthest))


@dataclass(frozen=True)
class Reading:
    """A picture, by its file and its index there; how it was prepared; what the model says."""

    file: str
    index: int | None
    prepared: Prepared
    answer: Answer


def read(engine: Engine, pictures: Iterable[Picture]) -> Iterator[Reading]:
    """One for each picture, in this order."""
    # Only what was made of them is kept: photos are large.
    prepared = ((each.file, each.index, prepare(each.pixels, engine.usage)) for each in pictures)
    while batch := list(islice(prepared, AT_A_TIME)):
        said = answers(engine, np.stack([each.pixels for *_, each in batch]))
        for (file, index, each), answer in zip(batch, said, strict=True):
            yield Reading(file, index, each, answer)
