"""Sweeps with real workers, on few digits."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.core.progress import Epoch
from src.execution.pool import Pool
from src.tracking.sweeps import Ended
from src.tune.study import Study
from src.tune.sweep import sweep
from tests.conftest import shrunk
from tests.tune.conftest import SPACE, BeginStudy


class Recorder:
    """Keeps what is reported to it, and calls `meanwhile` after each epoch."""

    def __init__(self, meanwhile: Callable[[int, Epoch], None] = lambda trial, epoch: None) -> None:
        self.meanwhile = meanwhile
        self.started: dict[int, Mapping[str, Any]] = {}
        self.epochs: list[tuple[int, int]] = []
        self.ended: dict[int, Ended] = {}

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self.started[trial] = drawn

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        self.epochs.append((trial, epoch.epoch))
        self.meanwhile(trial, epoch)

    def on_end(self, ended: Ended) -> None:
        assert ended.trial not in self.ended
        self.ended[ended.trial] = ended


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in study.trials()]


def run(study: Study, pool: Pool, wanted: int, recorder: Recorder | None = None) -> Recorder:
    recorder = recorder or Recorder()
    sweep(study, pool, wanted, float("inf"), [recorder])
    return recorder


def test_a_sweep_runs_the_wanted_trials_and_reports_each(begin: BeginStudy, pool: Pool) -> None:
    study = begin(pruner="none")
    seen = run(study, pool, wanted=3)
    trials = study.trials()
    assert states(study) == ["COMPLETE"] * 3
    assert seen.started == {trial.number: trial.params for trial in trials}
    assert seen.epochs == [(trial, epoch) for trial in range(3) for epoch in (1, 2)]
    assert seen.ended == {
        t.number: Ended(t.number, "complete", t.value, drawn=t.params) for t in trials
    }
    assert [t.intermediate_values[2] for t in trials] == [t.value for t in trials]
    run(study, pool, wanted=3)  # nothing is left to do
    assert len(study.trials()) == 3


def test_the_trial_of_a_killed_worker_is_run_again(begin: BeginStudy, pool: Pool) -> None:
    study = begin(pruner="none")

    def kill_once(trial: int, epoch: Epoch) -> None:
        if (trial, epoch.epoch) == (1, 1):
            (worker,) = psutil.Process().children(recursive=True)
            worker.send_signal(signal.SIGKILL)

    seen = run(study, pool, 3, Recorder(kill_once))
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials()[2].params == study.trials()[1].params
    assert seen.ended[1].state == "failed"
    assert "worker was killed" in seen.ended[1].reason


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interrupted_sweep_keeps_finished_trials_and_continues(
    begin: BeginStudy, workplace: Path, interruption: type[BaseException]
) -> None:
    study = begin("parts", pruner="none")

    def interrupt(trial: int, epoch: Epoch) -> None:
        if (trial, epoch.epoch) == (1, 2):
            raise interruption

    seen = Recorder(interrupt)
    with Pool(1, shrunk().runtime, lambda: None) as pool, pytest.raises(interruption):
        run(study, pool, 3, seen)
    assert states(study) == ["COMPLETE", "FAIL", "WAITING"]
    assert (seen.ended[1].state, seen.ended[1].reason) == ("failed", "the sweep was stopped")
    whole = begin("whole", pruner="none")
    with Pool(1, shrunk().runtime, lambda: None) as pool:
        run(study, pool, 3)
        run(whole, pool, 3)
    done = [(t.params, t.value) for t in study.trials() if t.value is not None]
    assert done == [(t.params, t.value) for t in whole.trials()]


def test_diverging_trials_fail_and_are_never_best(begin: BeginStudy, pool: Pool) -> None:
    rates = {"type": "categorical", "choices": [0.01, 0.02, 100.0]}
    study = begin(
        sampler="random",
        pruner="none",
        space={**SPACE, "train.optimizer.learning_rate": rates},
        values={"train.optimizer.name": "sgd"},
    )
    seen = run(study, pool, wanted=8)
    bad = {number for number, drawn in seen.started.items() if 100.0 in drawn.values()}
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
    begin: BeginStudy, pool: Pool
) -> None:
    space = {"model.kernel_sizes": {"type": "per_layer", "choices": [3, 15]}}  # on maps of 28, 14
    study = begin(sampler="grid", pruner="none", space=space)
    seen = run(study, pool, wanted=4)
    impossible = [n for n, drawn in seen.started.items() if drawn["model.kernel_sizes.1"] == 15]
    assert len(impossible) == 2
    for number in impossible:
        ended = seen.ended[number]
        assert (ended.state, ended.value) == ("pruned", None)
        assert "model.kernel_sizes[1]: should be at most 14" in ended.reason
    assert study.tally().complete == 2


def test_no_trial_starts_after_the_deadline(begin: BeginStudy, pool: Pool) -> None:
    study = begin()
    sweep(study, pool, 3, time.monotonic(), [])
    assert study.trials() == []


def test_a_pruned_trial_names_its_last_epoch(begin: BeginStudy, pool: Pool) -> None:
    study = begin(pruner="median")
    for _ in range(6):  # what the first trial is compared with
        number = study.claim(100)
        assert number is not None
        study.report(number, Epoch(1, 0.1, 0.001, 1.0, 0.01, 1000.0))
        study.complete(number, 0.001)
    seen = run(study, pool, wanted=7)
    assert [*seen.ended] == [6]
    assert seen.ended[6].state == "pruned"
    assert seen.ended[6].reason == "worse than others after epoch 1"
