"""Which model meets which test set, and which models are compared: all of evaluation reads it here.

To evaluate one more model, add a row, and its file to the deps of `evaluate` in dvc.yaml.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from src.core import paths
from src.data.imageset import ImageSet, load_images

SOURCE, TARGET = "source", "target"
TENSORS = {SOURCE: paths.SOURCE_TENSORS, TARGET: paths.TARGET_TENSORS}


@dataclass(frozen=True)
class Subject:
    name: str  # in metrics and file names
    title: str  # in pictures
    path: Path
    home: str  # the data that it is trained for: there it is calibrated, and its images corrupted
    learned: tuple[str, ...]  # the data that its weights come from
    tests: tuple[str, ...]  # the test sets that it meets
    baseline: bool = False  # only there to be compared with


SUBJECTS = (
    Subject("base", "base model, zero-shot", paths.BASE_MODEL, SOURCE, (SOURCE,), (SOURCE, TARGET)),
    Subject(
        "finetuned", "fine-tuned", paths.FINETUNED_MODEL, TARGET, (SOURCE, TARGET), (SOURCE, TARGET)
    ),
    Subject(
        "scratch",
        "same network from scratch",
        paths.SCRATCH_MODEL,
        TARGET,
        (TARGET,),
        (TARGET,),
        baseline=True,
    ),
)
# The second model is compared with the first, on this test set.
PAIRS = (
    ("base", "finetuned", SOURCE),
    ("base", "finetuned", TARGET),
    ("scratch", "finetuned", TARGET),
)
PRODUCTS = tuple(subject for subject in SUBJECTS if not subject.baseline)


def image_sets(split: str, device: torch.device) -> dict[str, ImageSet]:
    """By role, the images of a split, one of `paths.SPLITS`."""
    return {role: load_images(path / split).to(device) for role, path in TENSORS.items()}
