"""Which model meets which test set, and which models are compared: all of evaluation reads it here.

To evaluate one more model, add a row, and its file to the deps of `evaluate` in dvc.yaml. A smaller
model is one of these once params.yaml asks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from src.config.compression import CompressConfig
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
    original: str = ""  # of a smaller model: the subject that it was made from


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


def subjects(config: CompressConfig) -> tuple[Subject, ...]:
    """All that are evaluated: those above, and the smaller models that the pipeline makes."""
    return (*SUBJECTS, *(_smaller(name, config) for name in config.make))


def _smaller(name: str, config: CompressConfig) -> Subject:
    """It is for the data of the model that it was made from, and has learned from the same."""
    original = next(subject for subject in SUBJECTS if subject.name == config.original)
    path = paths.COMPRESSED / f"{name}.safetensors"
    return replace(original, name=name, title=name, path=path, original=original.name)


def pairs(chosen: Sequence[Subject]) -> Iterator[tuple[str, str, str]]:
    """The second model of each is to be compared with the first, on this test set."""
    yield from PAIRS
    for subject in chosen:
        if subject.original:
            yield subject.original, subject.name, subject.home


def image_sets(split: str, device: torch.device) -> dict[str, ImageSet]:
    """By role, the images of a split, one of `paths.SPLITS`."""
    return {role: load_images(path / split).to(device) for role, path in TENSORS.items()}
