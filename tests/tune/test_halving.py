"""The pruner `halving`, on trials with made-up losses."""

import math

import pytest

from src.core.progress import Epoch
from src.tune.study import Study
from tests.tune.conftest import BeginStudy


@pytest.fixture
def study(begin: BeginStudy) -> Study:
    return begin(pruner="halving", values={"train.epochs": 16})


def start(study: Study) -> int:
    number = study.claim(100)
    assert number is not None
    return number


def goes_on(study: Study, number: int, epoch: int, loss: float) -> bool:
    return study.report(number, Epoch(epoch, 1.0, loss, 0.5, 0.01, 1000.0))


def verdicts(study: Study, epoch: int, losses: list[float]) -> list[bool]:
    """New trials, each of which reports a loss at this epoch: whether it goes on."""
    return [goes_on(study, start(study), epoch, loss) for loss in losses]


@pytest.mark.parametrize("rung", [2, 4, 8])
def test_at_a_rung_the_better_half_rounded_up_goes_on(study: Study, rung: int) -> None:
    losses = [0.5, 0.4, 0.6, 0.45, 0.46, 0.47]
    assert verdicts(study, rung, losses) == [True, True, False, True, True, False]


@pytest.mark.parametrize("epoch", [1, 3, 5, 6, 7, 9, 12, 16])
def test_between_the_rungs_every_trial_goes_on(study: Study, epoch: int) -> None:
    assert verdicts(study, epoch, [0.5, 0.6, 0.7, math.nan]) == [True] * 4


def test_values_of_other_rungs_do_not_count(study: Study) -> None:
    verdicts(study, 2, [0.1] * 4)
    assert verdicts(study, 4, [0.5]) == [True]


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, [1]), (2, [1]), (3, [1, 2]), (12, [2, 3, 6]), (20, [3, 5, 10])]
)
def test_rungs_are_rounded_up(begin: BeginStudy, epochs: int, rungs: list[int]) -> None:
    study = begin(pruner="halving", values={"train.epochs": epochs})
    compared = [
        epoch for epoch in range(1, 1 + epochs) if not all(verdicts(study, epoch, [0.5, 0.6]))
    ]
    assert compared == rungs


def test_nan_never_goes_on_and_is_worse_than_any_number(study: Study) -> None:
    assert verdicts(study, 2, [math.nan, 0.5, math.nan, 0.6]) == [False, True, False, True]


def test_copies_of_a_killed_trial_change_nothing(study: Study) -> None:
    assert verdicts(study, 2, [0.5, 0.3]) == [True, True]
    for _ in range(6):  # each is run again by the next
        number = start(study)
        assert goes_on(study, number, 2, 0.1)
        study.requeue(number, "the sweep was stopped", blame=False)
    assert goes_on(study, start(study), 2, 0.1)
    assert verdicts(study, 2, [0.3, 0.4]) == [True, False]
