"""How well are photos of digits read, with what prepares them and without?

    python -m benchmarks.photos [MODEL]

300 photos of test digits of mnist-5k, made by tests/photos.py with a seed that the preparation was
not written with. Without it: made grey, scaled to the model's size, and inverted or not.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from src.core import paths
from src.core.stats import wilson
from src.data.imageset import load_images
from src.inference.answers import answers, read
from src.inference.engines import Engine, open_model
from src.inference.pictures import Picture
from tests.photos import MEASURED, photos

COUNT = 300


def tell(how: str, read_as: Iterable[str], labels: list[int]) -> None:
    right = sum(int(label) == actual for label, actual in zip(read_as, labels, strict=True))
    low, high = wilson(right, len(labels))
    print(f"{how:>22}: {right / len(labels):.1%} (95 % interval {low:.1%} to {high:.1%})")


def without(engine: Engine, pictures: Iterable[np.ndarray]) -> Iterable[str]:
    _, height, width = engine.usage.image_shape
    grey = (Image.fromarray(each).convert("L").resize((width, height)) for each in pictures)
    return (answer.label for answer in answers(engine, np.stack([*map(np.asarray, grey)])[:, None]))


def main() -> None:
    engine = open_model(Path(sys.argv[1]) if sys.argv[1:] else paths.BASE_MODEL)
    digits = load_images(paths.IMAGE_SETS["source.test"])
    taken, labels = photos(digits.images[:, 0].numpy(), digits.labels.numpy(), COUNT, MEASURED)
    pictures = [np.asarray(photo) for photo in taken]
    begun = time.perf_counter()
    readings = [*read(engine, (Picture("", None, each) for each in pictures))]
    seconds = time.perf_counter() - begun
    tell("prepared", (reading.answer.label for reading in readings), labels)
    tell("only scaled", without(engine, pictures), labels)
    tell("scaled and inverted", without(engine, (255 - each for each in pictures)), labels)
    unlike = sum(bool(reading.answer.unlike) for reading in readings)
    print(f"{unlike} of {COUNT} called unlike the training data; {COUNT / seconds:.0f} a second")


if __name__ == "__main__":
    main()
