"""Custom data of any number of images, and the memory of a process: what rows 11 and 12 share."""

import subprocess
import time
from collections.abc import Iterator

import numpy as np

from src.config.values import rewrite
from src.core import paths
from src.data.idx import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Bytes,
    write_idx,
    write_pieces,
)
from src.data.imageset import load_images
from tests.clones import Clone
from tests.memory import anonymous

AT_A_TIME = 500  # images that are shifted alike
OFTEN = 0.01  # seconds


def obtain_many(project: Clone, images: int) -> None:
    """Make so many training images, and a sixth of that for testing, the source of the clone.

    They are the digits that `make repro` left, shifted, with noise that makes each unlike all
    others. The download stage brings them into the clone.
    """
    folder = project.root / f"many-{images}"
    digits = load_images(paths.IMAGE_SETS["source.train"])
    kept, labels = digits.images[:, 0].numpy(), digits.labels.numpy().astype(np.uint8)
    random = np.random.default_rng(0)
    names = ((images, TRAIN_IMAGES, TRAIN_LABELS), (images // 6, TEST_IMAGES, TEST_LABELS))
    for count, images_name, labels_name in names:
        drawn = random.integers(0, len(kept), count)
        shape = (count, *kept.shape[1:])
        write_pieces(folder / images_name, kept.dtype, shape, _shifted(kept, drawn, random))
        write_idx(folder / labels_name, labels[drawn])
    set_params(project, {"data.source": f"folder:{folder}"})
    project.call("python", "-m", "pipeline.download")


def _shifted(images: Bytes, drawn: np.ndarray, random: np.random.Generator) -> Iterator[Bytes]:
    for first in range(0, len(drawn), AT_A_TIME):
        chosen = images[drawn[first : first + AT_A_TIME]]
        moved = np.roll(chosen, random.integers(-3, 4, 2), (1, 2))
        yield moved | random.integers(0, 4, moved.shape, np.uint8)


def set_params(project: Clone, values: dict[str, object]) -> None:
    params = project.root / paths.PARAMS
    params.write_text(rewrite(params.read_text(), values))


def watched(process: "subprocess.Popen[str]") -> tuple[float, str]:
    """The largest anonymous memory of a process while it runs, in MB, and what it prints."""
    most = 0.0
    while process.poll() is None:
        most = max(most, anonymous(process.pid) / 1e6)
        time.sleep(OFTEN)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    return most, printed
