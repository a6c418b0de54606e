"""What a model must fulfil to be registered, and to become the one in use: pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from src.core.stats import ALPHA, student
from src.evaluation.comparison import Accuracy, compare, in_words
from src.inference.exporting import Parity

if TYPE_CHECKING:
    from src.inference.usage import Usage
    from src.tracking.origins import Lineage

NAMED = 5  # classes in a reason


@dataclass(frozen=True)
class Check:
    """told: what was found; where it has not passed, the reason. figures: the same in numbers."""

    name: str
    passed: bool
    told: str
    figures: Mapping[str, float] = field(default_factory=dict)


def parity(found: Parity) -> Check:
    """The exported file answers as the weights do."""
    told = f"the export is equal: {found}" if found.passed else f"broken export: {found}"
    return Check("parity", found.passed, told, asdict(found))


def lineage(found: "Lineage") -> Check:
    """All that made the model and judged it is known, and is as it was."""
    steps = (*found.made_by, *found.used_by)
    lacking = [
        *([] if found.made_by else ["dvc.lock names no stage that made it"]),
        *(f"{step.name} has no run in MLflow" for step in steps if not step.run),
        *(
            f"the commit of {step.name} is not known"
            for step in steps
            if step.run and not step.commit
        ),
        *(f"{step.name} ran with uncommitted changes" for step in steps if step.dirty),
        *found.faults(),
    ]
    if lacking:
        return Check("lineage", False, f"lineage not complete: {', '.join(lacking)}")
    return Check("lineage", True, f"lineage complete: {', '.join(step.name for step in steps)}")


def held_out(seen: int, of: int) -> Check:
    """seen: how many of so many test images are among those that the model learned from."""
    told = f"{seen} of {of:,} test images are among its training and validation images"
    if seen:
        return Check("held_out", False, f"test images in training: {told}", {"seen": seen})
    return Check("held_out", True, told.replace("0 of", "none of", 1), {"seen": seen})


def no_guess(correct: np.ndarray, labels: np.ndarray) -> Check:
    """correct: bool [N], which test images are predicted correctly; labels: int [N]."""
    found, commonest = Accuracy.of(correct), float(np.bincount(labels).max() / len(labels))
    told = (
        f"accuracy {100 * found.value:.2f} % (95 % interval {100 * found.low:.2f} to "
        f"{100 * found.high:.2f}), where the commonest class is {100 * commonest:.2f} %"
    )
    passed = found.low > commonest
    return Check(
        "accuracy", passed, told if passed else f"no better than guessing: {told}", vars(found)
    )


def same_classes(champion: "Usage", challenger: "Usage") -> Check:
    kinds = [_kind(usage.classes, usage.image_shape) for usage in (champion, challenger)]
    passed = (champion.classes, champion.image_shape) == (
        challenger.classes,
        challenger.image_shape,
    )
    if passed:
        return Check("classes", True, f"both for {kinds[1]}")
    return Check("classes", False, f"other classes: {kinds[1]}; the champion's are {kinds[0]}")


def _kind(classes: Sequence[str], shape: Sequence[int]) -> str:
    named = ", ".join(classes[:NAMED]) + (", ..." if len(classes) > NAMED else "")
    return f"{len(classes)} classes ({named}) of images {'x'.join(map(str, shape))}"


def better(champion: np.ndarray, challenger: np.ndarray) -> Check:
    """Bool [N] each: which of the same images they predict correctly."""
    found = compare(champion, challenger)
    told = in_words("the champion", "the challenger", found)
    if found.p >= ALPHA:
        told = f"no better than chance: {told}"
    elif found.difference < 0:
        told = f"worse: {told}"
    passed = found.p < ALPHA and found.difference > 0
    return Check("better", passed, told, vars(found))


def robust(champion: np.ndarray, challenger: np.ndarray) -> Check:
    """Float [N] each: how often the same images are predicted correctly, of their corrupted copies.

    The images are the sample: copies of one image are not independent of each other.
    """
    gains = challenger - champion
    difference, (low, high) = float(gains.mean()), student(gains)
    told = (
        f"on corrupted images {100 * difference:+.2f} points (95 % interval {100 * low:+.2f} to "
        f"{100 * high:+.2f})"
    )
    passed = high >= 0  # not so for a bound that is no number
    figures = {"difference": difference, "low": low, "high": high}
    return Check("robust", passed, told if passed else f"less robust: {told}", figures)
