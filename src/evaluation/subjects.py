"""Which model meets which test set, and which models are compared: all of evaluation reads it here.

To evaluate one more model, add a row, and its file to the deps of `evaluate` in dvc.yaml.
"""

from dataclasses import dataclass
from pathlib import Path

from src.core import paths

SOURCE, TARGET = "source", "target"
TENSORS = {SOURCE: paths.SOURCE_TENSORS, TARGET: paths.TARGET_TENSORS}


@dataclass(frozen=True)
class Subject:
    name: str  # in metrics and file names
    title: str  # in pictures
    path: Path
    home: str  # the data that it is trained for: there it is calibrated, and its images corrupted
    tests: tuple[str, ...]  # the test sets that it meets
    baseline: bool = False  # only there to be compared with


SUBJECTS = (
    Subject("base", "base model, zero-shot", paths.BASE_MODEL, SOURCE, (SOURCE, TARGET)),
    Subject("finetuned", "fine-tuned", paths.FINETUNED_MODEL, TARGET, (SOURCE, TARGET)),
    Subject(
        "scratch",
        "same network from scratch",
        paths.SCRATCH_MODEL,
        TARGET,
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
