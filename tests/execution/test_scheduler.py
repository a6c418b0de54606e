"""A batch of jobs on a real worker."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.core.errors import UserError, trace
from src.core.progress import Ended, Epoch
from src.execution.executor import Executor, Failed, Finished, WorkerError
from src.execution.launch import launched
from src.execution.scheduler import MAX_TRIES, Batch, run
from src.training.jobs import Adapt, Job, Scratch
from tests.conftest import WORKPLACE, shrunk

PARAMS = shrunk()
JOB = Scratch(train=PARAMS.train, seed=0, model=PARAMS.model)
DIVERGING = replace(
    JOB, train=shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd").train
)
BUG = Adapt(train=PARAMS.finetune, seed=0, base=b"")  # the target's images are not there


class Recorder:
    """Keeps what it is told, and calls `meanwhile` after each epoch."""

    def __init__(self, meanwhile: Callable[[str, Epoch], None] = lambda name, epoch: None) -> None:
        self.meanwhile = meanwhile
        self.started: list[str] = []
        self.ended: list[Ended] = []
        self.kept: list[tuple[Job, Finished | Failed]] = []

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        assert values["kind"] in ("Scratch", "Adapt")
        self.started.append(name)

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        self.meanwhile(name, epoch)

    def on_end(self, ended: Ended) -> None:
        self.ended.append(ended)

    def keep(self, job: Job, outcome: Finished | Failed) -> None:
        self.kept.append((job, outcome))


def kill_worker(name: str, epoch: Epoch) -> None:
    for process in psutil.Process().children(recursive=True):
        process.kill()


def states(recorder: Recorder) -> list[tuple[str, str]]:
    return [(ended.name, ended.state) for ended in recorder.ended]


def test_each_job_ends_once_and_is_kept_when_it_does(executor: Executor) -> None:
    seen = Recorder()
    jobs: dict[str, Job] = {"first": JOB, "second": replace(JOB, seed=1)}
    batch = Batch(jobs, seen.keep, [seen])
    run(executor, batch)
    assert seen.started == ["first", "second"]
    assert states(seen) == [("first", "complete"), ("second", "complete")]
    assert [job for job, _ in seen.kept] == [*jobs.values()]
    assert [*batch.finished] == ["first", "second"]
    first, second = (outcome.result.fit.kept for outcome in batch.finished.values())
    assert seen.ended[0].metrics["kept_val_loss"] == first.val_loss != second.val_loss
    assert [epoch.epoch for epoch in seen.ended[0].epochs] == [1, 2]


def test_a_job_that_fails_does_not_end_the_others(executor: Executor) -> None:
    seen = Recorder()
    batch = Batch({"bad": DIVERGING, "good": JOB}, seen.keep, [seen])
    run(executor, batch)
    assert "the training loss became" in batch.failed["bad"]
    assert [*batch.finished] == ["good"]
    assert states(seen) == [("bad", "failed"), ("good", "complete")]
    assert [type(outcome) for _, outcome in seen.kept] == [Failed, Finished]


def test_a_bug_ends_all_with_the_workers_traceback(executor: Executor) -> None:
    seen = Recorder()
    with pytest.raises(WorkerError, match=r"bug: KeyError: 'target\.train'") as caught:
        run(executor, Batch({"bug": BUG, "good": JOB}, seen.keep, [seen]))
    assert "in _adapt" in trace(caught.value)
    assert states(seen) == [("bug", "failed")]
    assert not seen.kept


def test_a_job_whose_worker_is_killed_is_run_again(executor: Executor) -> None:
    killed = list[str]()

    def kill_once(name: str, epoch: Epoch) -> None:
        if not killed:
            killed.append(name)
            kill_worker(name, epoch)

    seen = Recorder(kill_once)
    batch = Batch({"it": JOB, "next": replace(JOB, seed=1)}, seen.keep, [seen])
    run(executor, batch)
    assert states(seen) == [("it", "failed"), ("next", "complete"), ("it", "complete")]
    assert "its worker was killed" in seen.ended[0].reason
    assert [*batch.finished] == ["next", "it"]


def test_a_job_that_workers_die_of_is_given_up(executor: Executor) -> None:
    seen = Recorder(kill_worker)
    with pytest.raises(UserError, match=f"it: its worker was killed.*, {MAX_TRIES} times"):
        run(executor, Batch({"it": JOB}, seen.keep, [seen]))
    assert states(seen) == [("it", "failed")] * MAX_TRIES
    assert not seen.kept


def test_an_interruption_ends_what_was_running(workplace: Path) -> None:
    def interrupt(name: str, epoch: Epoch) -> None:
        raise KeyboardInterrupt

    seen = Recorder(interrupt)
    jobs: dict[str, Job] = {str(seed): replace(JOB, seed=seed) for seed in range(3)}
    batch = Batch(jobs, seen.keep, [seen])
    with (
        launched(2, PARAMS.runtime, WORKPLACE, check=lambda: None) as executor,
        pytest.raises(KeyboardInterrupt),
    ):
        run(executor, batch)
    assert sorted(states(seen)) == [("0", "failed"), ("1", "failed")]
    assert {ended.reason for ended in seen.ended} == {"interrupted"}
