"""The gate on made-up predictions, of which it is known what should pass."""

from dataclasses import replace

import numpy as np
import pytest

from src.inference.exporting import Parity
from src.inference.usage import Usage
from src.register import gate
from src.register.records import Outcome
from src.tracking.origins import HERE, MISSING, Content, Lineage, Step

N = 1000
STEP = Step("train", "python", "run", "commit", False, {}, {}, (), (), ())
USAGE = Usage("hash", ("0", "1"), (1, 28, 28))


def right(count: int, first: int = 0) -> np.ndarray:
    """So many images predicted correctly, from the first of them on."""
    correct = np.zeros(N, bool)
    correct[first : first + count] = True
    return correct


@pytest.mark.parametrize(
    ("champion", "challenger", "passed", "told"),
    [
        (right(900), right(920), True, "the challenger against the champion: +2.00 points"),
        (right(920), right(900), False, "worse: the challenger against the champion: -2.00 points"),
        (right(900), right(905), False, "no better than chance: the challenger"),
        (right(905), right(900), False, "no better than chance: the challenger"),
        (right(900), right(900), False, "no better than chance: the challenger"),
        # As many are right, but others: what counts is the difference, and that is none.
        (right(900), right(900, 100), False, "no better than chance: the challenger"),
    ],
)
def test_better_is_more_than_chance(
    champion: np.ndarray, challenger: np.ndarray, passed: bool, told: str
) -> None:
    found = gate.better(champion, challenger)
    assert found.passed == passed
    assert found.told.startswith(told)
    assert {"p", "difference", "low", "high"} <= {*found.figures}


@pytest.mark.parametrize(
    ("gain", "spread", "passed"), [(0.1, 0.1, True), (-0.001, 0.5, True), (-0.1, 0.1, False)]
)
def test_robust_is_not_wholly_below(gain: float, spread: float, passed: bool) -> None:
    """A gain per image; the interval is that of its mean over images."""
    champion = np.full(N, 0.5)
    challenger = champion + gain + spread * np.tile([1.0, -1.0], N // 2)
    found = gate.robust(champion, challenger)
    assert (found.passed, found.told.startswith("less robust: ")) == (passed, not passed)
    half_width = 1.96 * spread / np.sqrt(N)
    assert found.figures["low"] == pytest.approx(gain - half_width, abs=1e-3)
    assert found.figures["high"] == pytest.approx(gain + half_width, abs=1e-3)


def test_equal_robustness_passes() -> None:
    assert gate.robust(np.full(N, 0.5), np.full(N, 0.5)).passed


@pytest.mark.parametrize(("count", "passed"), [(900, True), (620, False), (640, True)])
def test_a_guess_is_as_often_right_as_the_commonest_class(count: int, passed: bool) -> None:
    labels = np.repeat([0, 1], [600, 400])
    found = gate.no_guess(right(count), labels)
    assert (found.passed, found.told.startswith("no better than guessing: ")) == (
        passed,
        not passed,
    )
    assert "the commonest class is 60.00 %" in found.told


@pytest.mark.parametrize(
    ("largest", "labels", "elsewhere"), [(1e-3, 0, 0.0), (1e-6, 1, 0.0), (1e-6, 0, 1e-3)]
)
def test_another_answer_is_a_broken_export(largest: float, labels: int, elsewhere: float) -> None:
    found = gate.parity(Parity(N, largest, elsewhere, labels))
    assert not found.passed
    assert found.told.startswith("broken export: ")
    assert gate.parity(Parity(N, 1e-6, 1e-6, 0)).passed


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (replace(STEP, run=None), "train has no run in MLflow"),
        (replace(STEP, commit=None), "the commit of train is not known"),
        (replace(STEP, dirty=True), "train ran with uncommitted changes"),
        (replace(STEP, code=(Content("src/models", "1", MISSING),)), "src/models: missing"),
        (replace(STEP, changed={"seed": 3}), "params.yaml: seed was None, and is 3"),
    ],
)
def test_what_is_not_known_makes_a_lineage_incomplete(step: Step, told: str) -> None:
    for found in (gate.lineage(Lineage((STEP, step), ())), gate.lineage(Lineage((STEP,), (step,)))):
        assert (found.passed, found.told) == (False, f"lineage not complete: {told}")
    assert not gate.lineage(Lineage((), ())).passed
    whole = replace(STEP, code=(Content("src/models", "1", HERE),))
    assert gate.lineage(Lineage((whole,), ())).passed


def test_one_test_image_in_training_is_too_many() -> None:
    assert gate.held_out(0, N).told == "none of 1,000 test images are among its training and " + (
        "validation images"
    )
    assert gate.held_out(1, N).told.startswith("test images in training: 1 of 1,000 test images")
    assert [gate.held_out(seen, N).passed for seen in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    "other", [replace(USAGE, classes=("1", "0")), replace(USAGE, image_shape=(3, 28, 28))]
)
def test_other_classes_or_sizes_cannot_be_compared(other: Usage) -> None:
    assert gate.same_classes(USAGE, replace(USAGE, weights="other")).passed
    found = gate.same_classes(USAGE, other)
    assert not found.passed
    assert found.told.startswith("other classes: 2 classes (")


def test_a_verdict_names_every_reason_in_one_line() -> None:
    checks = (gate.better(right(900), right(900)), gate.held_out(0, N), gate.held_out(2, N))
    refused = Outcome(None, False, None, 1, None, checks, False)
    assert refused.verdict == f"not registered: {checks[0].told}; {checks[2].told}"
    forced = Outcome(3, False, "champion", 1, "why", checks, True)
    assert forced.verdict.startswith("version 3 of idxflow would be champion, in place of version ")
    assert "forced, despite: no better than chance" in forced.verdict
    assert (refused.refused, forced.refused) == (True, False)
