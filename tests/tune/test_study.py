"""How processes share a study."""

import math
import time
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from src.core.errors import UserError
from src.core.processes import _started
from src.core.progress import Epoch
from src.execution.scheduler import MAX_TRIES
from src.tune.study import MAX_FAILURES, Study
from tests.tune.conftest import BeginStudy

SAMPLERS = ["tpe", "random", "grid", "qmc", "cma-es", "gp"]
POINTS: dict[str, Any] = {
    "train.batch_size": {"type": "categorical", "choices": [8, 16, 32]},
    "model.kernel_sizes": {"type": "per_layer", "choices": [3, 5]},
}


def loss(values: dict[str, Any]) -> float:
    """Something to minimise."""
    rate: float = values.get("train.optimizer.learning_rate", 0.01)
    batch_size: int = values["train.batch_size"]
    return abs(math.log10(rate) + 2) + batch_size / 64


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(number, 1.0, loss, 0.5, 0.01, 1000.0)


def claimed(study: Study, wanted: int = 50) -> int:
    number = study.claim(wanted)
    assert number is not None
    return number


def run(study: Study, wanted: int) -> None:
    """Trials one after the other until there are enough."""
    while (number := study.claim(wanted)) is not None:
        assert study.complete(number, loss(study.values(number)))


def draws(study: Study) -> list[dict[str, Any]]:
    """The values of the finished trials, in order."""
    return [t.params for t in study.trials() if t.state == TrialState.COMPLETE]


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials()]


def test_processes_together_start_no_more_trials_than_wanted(begin: BeginStudy) -> None:
    first, second = begin(), begin()
    started = _started(psutil.Process(1))  # the second stands for another live process
    second._owner = {**second._owner, "process.id": "1", "process.started": started}
    assert [first.claim(3), second.claim(3), first.claim(3)] == [0, 1, 2]
    assert first.claim(3) is None
    assert second.claim(3) is None
    first.complete(0, 0.5)
    assert first.claim(3) is None
    assert claimed(first, wanted=4) == 3


def test_pruned_trials_are_finished_and_failed_ones_are_replaced(begin: BeginStudy) -> None:
    study = begin()
    study.prune(claimed(study, 3), "worse")
    study.fail(claimed(study, 3), "the loss became nan")
    study.complete(claimed(study, 3), 0.5)
    study.complete(claimed(study, 3), 0.4)
    assert study.claim(3) is None
    assert states(study) == ["PRUNED", "FAIL", "COMPLETE", "COMPLETE"]
    tally = study.tally()
    assert (tally.complete, tally.pruned, tally.failed, tally.finished) == (2, 1, 1, 3)
    assert tally.best is not None
    assert tally.best.number == 3


def test_the_first_trial_has_the_present_values(begin: BeginStudy) -> None:
    study = begin()
    assert study.values(claimed(study)) == {
        "train.optimizer.learning_rate": 0.003,
        "train.batch_size": 32,
        "model.kernel_sizes.0": 3,
        "model.kernel_sizes.1": 3,
    }


def test_present_values_outside_the_space_are_not_tried(begin: BeginStudy) -> None:
    study = begin(values={"train.optimizer.learning_rate": 0.5})
    assert 0.001 <= study.values(claimed(study))["train.optimizer.learning_rate"] <= 0.1


def test_when_too_many_fail_the_sweep_ends_with_the_reason(begin: BeginStudy) -> None:
    study = begin()
    for _ in range(MAX_FAILURES):
        study.fail(claimed(study, 3), "the loss became nan")
    with pytest.raises(UserError, match="10 trials failed, the last because the loss became"):
        study.claim(3)
    assert claimed(study, wanted=MAX_FAILURES + 1) == MAX_FAILURES


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_draws_the_same_values_every_time(begin: BeginStudy, sampler: str) -> None:
    space = {"space": POINTS} if sampler == "grid" else {}
    studies = [
        begin(name, seed=seed, sampler=sampler, **space)
        for name, seed in (("first", 1), ("second", 1), ("third", 2))
    ]
    for study in studies:
        run(study, wanted=12)
    first, second, third = map(draws, studies)
    assert first == second
    assert first != third
    assert len({str(values) for values in first}) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_study_draws_the_same_values_as_a_whole_one(
    begin: BeginStudy, sampler: str
) -> None:
    space = {"space": POINTS} if sampler == "grid" else {}
    whole = begin("whole", sampler=sampler, **space)
    run(whole, wanted=12)
    for wanted in (1, 4, 7, 12):
        part = begin("parts", sampler=sampler, **space)
        run(part, wanted)
        if wanted < 12:
            part.requeue(claimed(part), "the sweep was stopped", blame=False)
    expected, found = draws(whole), draws(begin("parts", sampler=sampler, **space))
    if sampler == "cma-es":  # its draws also depend on trial numbers, and a retry has a new one
        assert len({str(values) for values in found}) == 12
    else:
        assert found == expected


def test_a_requeued_trial_is_run_again_with_the_same_values(begin: BeginStudy) -> None:
    study = begin()
    number = claimed(study)
    values = study.values(number)
    study.requeue(number, "its worker was killed", blame=True)
    again = claimed(study)
    assert again != number
    assert study.values(again) == values
    study.complete(again, 0.5)
    assert study.tally().failed == 0
    assert states(study) == ["FAIL", "COMPLETE"]


def test_values_that_kill_every_worker_are_given_up(begin: BeginStudy) -> None:
    study = begin()
    first = claimed(study)
    values = study.values(first)
    study.requeue(first, "its worker was killed", blame=True)
    for _ in range(MAX_TRIES - 1):
        number = claimed(study)
        assert study.values(number) == values
        study.requeue(number, "its worker was killed", blame=True)
    assert study.values(claimed(study)) != values
    assert study.tally().failed == 1
    reasons = [trial.user_attrs.get("reason") for trial in study.trials()]
    assert reasons[-2] == f"its worker was killed, {MAX_TRIES} times"


def test_stopping_a_sweep_does_not_count_as_a_try(begin: BeginStudy) -> None:
    study = begin()
    values = study.values(claimed(study))
    for _ in range(2 * MAX_TRIES):
        study.requeue(study.running[0], "the sweep was stopped", blame=False)
        assert study.values(claimed(study)) == values


def test_trials_of_a_killed_process_are_run_again(begin: BeginStudy) -> None:
    killed = begin()
    killed._owner = {**killed._owner, "process.id": "999999999"}
    number = claimed(killed)
    values = killed.values(number)
    study = begin()
    assert study.values(claimed(study)) == values
    assert study.trials()[number].user_attrs["reason"] == "its process was killed"
    assert not killed.complete(number, 0.5)  # too late
    assert states(study) == ["FAIL", "RUNNING"]


def test_a_trial_whose_process_was_killed_while_claiming_it_is_failed(
    begin: BeginStudy,
) -> None:
    killed = begin()
    dead = {**killed._owner, "process.id": "999999999"}
    killed.optuna.enqueue_trial({}, user_attrs={"owner": dead})
    killed.optuna.ask()
    study = begin()
    run(study, wanted=2)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_trials_of_another_machine_are_left_alone_while_it_sends_heartbeats(
    begin: BeginStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    other, study = begin(), begin()
    other._owner = {**other._owner, "host": "elsewhere"}
    number = claimed(other, wanted=1)
    for _ in range(30):
        clock[0] += 30.0
        other.heartbeat()
        assert study.claim(1) is None
    clock[0] += 120.0
    assert study.claim(1) is None
    clock[0] += 120.0
    assert claimed(study, wanted=1) != number
    assert not other.report(number, epoch(1, 0.5))
    assert not other.complete(number, 0.5)


def test_without_a_common_lock_the_first_trials_are_kept_and_surplus_ones_failed(
    begin: BeginStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = begin()

    def others_are_faster(trials: object) -> dict[str, Any]:
        for value in (1.0, 2.0):
            study.optuna.add_trial(optuna.create_trial(value=value))
        return {}

    monkeypatch.setattr(study, "_fixed_values", others_are_faster)
    assert study.claim(2) is None
    assert states(study) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert study.tally().failed == 0
    monkeypatch.undo()
    assert claimed(study, wanted=3) == 3


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_pruners_stop_bad_trials_and_none_does_not(begin: BeginStudy, pruner: str) -> None:
    stopped = {}
    for name in (pruner, "none"):
        study = begin(name, pruner=name, values={"train.epochs": 16})
        for _ in range(12):
            number = claimed(study)
            worse = 1.0 + number
            goes_on = all(study.report(number, epoch(step, worse)) for step in range(1, 17))
            (study.complete(number, worse) if goes_on else study.prune(number, "worse"))
        stopped[name] = study.tally().pruned
    assert stopped[pruner] >= 3
    assert stopped["none"] == 0


def test_a_grid_tries_every_point_once(begin: BeginStudy) -> None:
    study = begin(sampler="grid", space=POINTS)
    for _ in range(12):
        number = claimed(study, wanted=13)
        study.complete(number, loss(study.values(number)))
    assert len({str(values) for values in draws(study)}) == 12
    assert study.claim(13) is None
    assert study.is_done(13)


def test_a_grid_waits_for_its_last_points(begin: BeginStudy) -> None:
    study = begin(sampler="grid", space=POINTS)
    for _ in range(12):
        claimed(study, wanted=13)
    assert study.claim(13) is None
    assert not study.is_done(13)
    study.requeue(study.running[0], "the sweep was stopped", blame=False)
    assert not study.is_done(13)
    assert claimed(study, wanted=13) == 12


def test_results_saved_with_a_study_are_visible_to_other_processes(begin: BeginStudy) -> None:
    begin().save_result("confirmed.1", {"val_loss": 0.1})
    assert begin().load_result("confirmed.1") == {"val_loss": 0.1}
    assert begin().load_result("confirmed.2") is None
