"""Row 10: answers of `src.predict`'s path with the exported file, and in eager torch.

    python -m benchmarks.answers

Warm: from images of the model's size, as an IDX file has them, to calibrated answers, in two
threads. Cold: from the start of the command to the answer for one photo. It needs what `make repro`
left.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from benchmarks.rows import in_turn, record
from src.core import paths
from src.data.imageset import ImageSet, load_images
from src.inference.answers import read
from src.inference.engines import Engine, Torch, exported, open_export
from src.inference.exporting import export
from src.inference.pictures import Picture
from tests.photos import TUNING, photos

PAIRS, RUNS = 7, 30
PEER = "eager torch"


def warm(engine: Engine, pictures: list[Picture]) -> Callable[[], float]:
    """Milliseconds, the median of several runs."""

    def once() -> float:
        begun = time.perf_counter()
        assert len([*read(engine, pictures)]) == len(pictures)
        return 1000 * (time.perf_counter() - begun)

    return lambda: median(once() for _ in range(RUNS))


def cold(photo: Path, model: Path) -> Callable[[], float]:
    """Seconds of a process."""
    command = (sys.executable, "-m", "src.predict", str(photo), "--model", str(model))

    def once() -> float:
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begun

    return once


def measure_warm(digits: ImageSet, onnx: Path, weights: Path) -> None:
    engines = open_export(onnx), Torch(weights)
    for count in (1, 64):
        images = digits.images[:count, 0].numpy()
        pictures = [Picture("", index, pixels) for index, pixels in enumerate(images)]
        ours, theirs = (warm(engine, pictures) for engine in engines)
        in_turn(ours, theirs, 1)
        pairs = in_turn(ours, theirs, PAIRS)
        what = f"warm, {count} image{'s' if count > 1 else ''}"
        record(10, what, PEER, "ms", pairs, 2)


def measure_cold(digits: ImageSet, folder: Path, onnx: Path, weights: Path) -> None:
    photo = folder / "photo.jpg"
    [taken], _ = photos(digits.images[:, 0].numpy(), digits.labels.numpy(), 1, TUNING)
    taken.save(photo)
    pairs = in_turn(cold(photo, onnx), cold(photo, weights), PAIRS)
    record(10, "cold, one photo", PEER, "s", pairs, 3)


def main() -> None:
    torch.set_num_threads(2)
    digits = load_images(paths.IMAGE_SETS["source.test"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights" / paths.BASE_MODEL.name  # without an export beside it
        weights.parent.mkdir()
        shutil.copy(paths.BASE_MODEL, weights)
        onnx = exported(folder / paths.BASE_MODEL.name)
        export(paths.BASE_MODEL, onnx)
        measure_warm(digits, onnx, weights)
        measure_cold(digits, folder, onnx, weights)


if __name__ == "__main__":
    main()
