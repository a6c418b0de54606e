"""How long does it take from the start of a process to the answer for one photo?

    python -m benchmarks.cold

With the exported file, and with the same weights in torch, in turns. It needs what `make repro` and
`python -m src.export` left.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from src.core import paths
from src.data.imageset import load_images
from src.inference.engines import exported
from tests.photos import TUNING, photos

TURNS = 10


def seconds(photo: Path, model: Path) -> float:
    begun = time.perf_counter()
    command = (sys.executable, "-m", "src.predict", str(photo), "--model", str(model))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    digits = load_images(paths.IMAGE_SETS["source.test"])
    with tempfile.TemporaryDirectory() as folder:
        photo, weights = Path(folder, "photo.jpg"), Path(folder, "base.safetensors")
        [taken], _ = photos(digits.images[:, 0].numpy(), digits.labels.numpy(), 1, TUNING)
        taken.save(photo)
        shutil.copy(paths.BASE_MODEL, weights)  # without an export beside it
        pairs = np.array(
            [
                (seconds(photo, exported(paths.BASE_MODEL)), seconds(photo, weights))
                for _ in range(TURNS)
            ]
        )
    ratios = pairs[:, 1] / pairs[:, 0]
    onnx, torch = statistics.median(pairs[:, 0]), statistics.median(pairs[:, 1])
    print(
        f"{onnx:.2f} s with the exported file, {torch:.2f} s in torch: {np.median(ratios):.1f} "
        f"times as fast ({ratios.min():.1f} to {ratios.max():.1f} over {TURNS} turns)"
    )


if __name__ == "__main__":
    main()
