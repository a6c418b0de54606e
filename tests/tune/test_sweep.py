"""Sweeps with real workers, on few digits."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.core.cli import Workers
from src.core.progress import Ended, Epoch, Observer
from src.execution import scheduler
from src.execution.executor import Executor
from src.execution.launch import launched
from src.tune.study import Study
from src.tune.sweep import Trials
from tests.conftest import WORKPLACE, shrunk
from tests.tune.conftest import SPACE, BeginStudy


class Recorder(Observer):
    """Keeps what is reported to it, and calls `meanwhile` after each epoch."""

    def __init__(self, meanwhile: Callable[[int, Epoch], None] = lambda trial, epoch: None) -> None:
        self.meanwhile = meanwhile
        self.started: dict[int, Mapping[str, Any]] = {}
        self.epochs: list[tuple[int, int]] = []
        self.ended: dict[int, Ended] = {}

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        self.started[number(name)] = values

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        self.epochs.append((number(name), epoch.epoch))
        self.meanwhile(number(name), epoch)

    def on_end(self, ended: Ended) -> None:
        assert number(ended.name) not in self.ended
        self.ended[number(ended.name)] = ended


def number(name: str) -> int:
    return int(name.removeprefix("trial-"))


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials()]


def run(
    study: Study, executor: Executor, wanted: int, recorder: Recorder | None = None
) -> Recorder:
    recorder = recorder or Recorder()
    scheduler.run(executor, Trials(study, wanted, float("inf"), [recorder]))
    return recorder


def drawn(seen: Recorder, number: int) -> Mapping[str, Any]:
    """The trial's values among those that it started with."""
    return {key: value for key, value in seen.started[number].items() if "." in key}


def test_a_sweep_runs_the_wanted_trials_and_reports_each(
    begin: BeginStudy, executor: Executor
) -> None:
    study = begin(pruner="none")
    seen = run(study, executor, wanted=3)
    trials = study.trials()
    assert states(study) == ["COMPLETE"] * 3
    assert {n: drawn(seen, n) for n in seen.started} == {t.number: t.params for t in trials}
    assert seen.started[0]["seed"] == 0
    assert seen.epochs == [(trial, epoch) for trial in range(3) for epoch in (1, 2)]
    for trial in trials:
        ended = seen.ended[trial.number]
        assert (ended.state, ended.values) == ("complete", trial.params)
        assert ended.metrics["kept_val_loss"] == trial.value
    assert [t.intermediate_values[2] for t in trials] == [t.value for t in trials]
    run(study, executor, wanted=3)  # nothing is left to do
    assert len(study.trials()) == 3


def test_the_trial_of_a_killed_worker_is_run_again(begin: BeginStudy, executor: Executor) -> None:
    study = begin(pruner="none")

    def kill_once(trial: int, epoch: Epoch) -> None:
        if (trial, epoch.epoch) == (1, 1):
            (worker,) = psutil.Process().children(recursive=True)
            worker.send_signal(signal.SIGKILL)

    seen = run(study, executor, 3, Recorder(kill_once))
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials()[2].params == study.trials()[1].params
    assert seen.ended[1].state == "failed"
    assert "worker was killed" in seen.ended[1].reason


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interrupted_sweep_keeps_finished_trials_and_continues(
    begin: BeginStudy,
    workplace: Path,
    executor: Executor,
    interruption: type[BaseException],
) -> None:
    study = begin("parts", pruner="none")

    def interrupt(trial: int, epoch: Epoch) -> None:
        if (trial, epoch.epoch) == (1, 2):
            raise interruption

    seen = Recorder(interrupt)
    with (
        launched(Workers(1), shrunk().runtime, WORKPLACE, lambda: None) as interrupted,
        pytest.raises(interruption),
    ):
        run(study, interrupted, 3, seen)
    assert states(study) == ["COMPLETE", "FAIL", "WAITING"]
    assert (seen.ended[1].state, seen.ended[1].reason) == ("failed", "the sweep was stopped")
    whole = begin("whole", pruner="none")
    run(study, executor, 3)
    run(whole, executor, 3)
    done = [(t.params, t.value) for t in study.trials() if t.value is not None]
    assert done == [(t.params, t.value) for t in whole.trials()]


def test_diverging_trials_fail_and_are_never_best(begin: BeginStudy, executor: Executor) -> None:
    rates = {"type": "categorical", "choices": [0.01, 0.02, 100.0]}
    study = begin(
        sampler="random",
        pruner="none",
        space={**SPACE, "train.optimizer.learning_rate": rates},
        values={"train.optimizer.name": "sgd"},
    )
    seen = run(study, executor, wanted=8)
    bad = {number for number in seen.started if 100.0 in drawn(seen, number).values()}
    failed = {number for number, ended in seen.ended.items() if ended.state == "failed"}
    assert failed == bad
    assert len(bad) >= 2
    assert all("loss became" in seen.ended[number].reason for number in bad)
    assert not any(ended.traceback for ended in seen.ended.values())
    tally = study.tally()
    assert (tally.complete, tally.failed) == (8, len(bad))
    assert tally.best is not None
    assert tally.best.number not in bad


def test_impossible_values_are_pruned_at_once_with_the_reason(
    begin: BeginStudy, executor: Executor
) -> None:
    space = {"model.kernel_sizes": {"type": "per_layer", "choices": [3, 15]}}  # on maps of 28, 14
    study = begin(sampler="grid", pruner="none", space=space)
    seen = run(study, executor, wanted=4)
    impossible = [n for n in seen.started if drawn(seen, n)["model.kernel_sizes.1"] == 15]
    assert len(impossible) == 2
    for number in impossible:
        ended = seen.ended[number]
        assert (ended.state, ended.metrics) == ("pruned", {})
        assert "model.kernel_sizes[1]: should be at most 14" in ended.reason
    assert study.tally().complete == 2


def test_no_trial_starts_after_the_deadline(begin: BeginStudy, executor: Executor) -> None:
    study = begin()
    scheduler.run(executor, Trials(study, 3, time.monotonic(), []))
    assert study.trials() == []


def test_a_pruned_trial_names_its_last_epoch(begin: BeginStudy, executor: Executor) -> None:
    study = begin(pruner="median")
    for _ in range(6):  # what the first trial is compared with
        number = study.claim(100)
        assert number is not None
        study.report(number, Epoch(1, 0.1, 0.001, 1.0, 0.01, 1000.0))
        study.complete(number, 0.001)
    seen = run(study, executor, wanted=7)
    assert [*seen.ended] == [6]
    assert seen.ended[6].state == "pruned"
    assert seen.ended[6].reason == "worse than others after epoch 1"
