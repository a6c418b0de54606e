"""A batch of jobs on a real worker."""

import errno
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from src.core.cli import Workers
from src.core.errors import trace
from src.core.progress import Ended, Epoch, Observer
from src.execution import scheduler
from src.execution.executor import Executor, Failed, Finished, WorkerError
from src.execution.launch import launched
from src.execution.scheduler import Batch, run
from src.training.jobs import Adapt, Job, Scratch
from tests.conftest import WORKPLACE, shrunk

PARAMS = shrunk()
JOB = Scratch(train=PARAMS.train, seed=0, model=PARAMS.model)
DIVERGING = replace(
    JOB, train=shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd").train
)
BUG = Adapt(train=PARAMS.finetune, seed=0, base=b"")  # the target's images are not there


class Recorder(Observer):
    """Keeps what it is told, and calls `meanwhile` after each epoch."""

    def __init__(self, meanwhile: Callable[[str, Epoch], None] = lambda name, epoch: None) -> None:
        self.meanwhile = meanwhile
        self.started: list[str] = []
        self.ended: list[Ended] = []
        self.kept: dict[str, Finished | Failed] = {}

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        assert values["kind"] in ("Scratch", "Adapt")
        self.started.append(name)

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        self.meanwhile(name, epoch)

    def on_end(self, ended: Ended) -> None:
        self.ended.append(ended)

    def keep(self, name: str, outcome: Finished | Failed) -> None:
        self.kept[name] = outcome


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
    assert [*seen.kept] == [*batch.finished] == ["first", "second"]
    first, second = (result.fit.kept for result in batch.finished.values())
    assert seen.ended[0].metrics["kept_val_loss"] == first.val_loss != second.val_loss
    assert [epoch.epoch for epoch in seen.ended[0].epochs] == [1, 2]


def test_a_job_that_fails_does_not_end_the_others(executor: Executor) -> None:
    seen = Recorder()
    batch = Batch({"bad": DIVERGING, "good": JOB}, seen.keep, [seen])
    run(executor, batch)
    assert "the training loss became" in batch.failed["bad"]
    assert [*batch.finished] == ["good"]
    assert states(seen) == [("bad", "failed"), ("good", "complete")]
    assert [type(outcome) for outcome in seen.kept.values()] == [Failed, Finished]


def test_a_bug_ends_all_with_the_workers_traceback(executor: Executor) -> None:
    seen = Recorder()
    with pytest.raises(WorkerError, match=r"bug: KeyError: 'target\.train'") as caught:
        run(executor, Batch({"bug": BUG, "good": JOB}, seen.keep, [seen]))
    assert "in _adapt" in trace(caught.value)
    (ended,) = (ended for ended in seen.ended if ended.name == "bug")
    assert ended.reason == "KeyError: 'target.train'"
    assert "in _adapt" in ended.traceback
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
    assert seen.ended[0].reason.endswith("; it will be run again")
    assert [*batch.finished] == ["next", "it"]


def test_a_job_that_workers_die_of_is_given_up(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "MAX_TRIES", 2)

    def kill(name: str, epoch: Epoch) -> None:
        if name == "it":
            kill_worker(name, epoch)

    seen = Recorder(kill)
    batch = Batch({"it": JOB, "next": replace(JOB, seed=1)}, seen.keep, [seen])
    run(executor, batch)
    assert [state for state in states(seen) if "it" in state] == [("it", "failed")] * 2
    assert batch.failed["it"] == "its worker was killed, by someone or for lack of memory, 2 times"
    assert [*seen.kept] == [*batch.finished] == ["next"]


def test_an_interruption_ends_what_was_running(workplace: Path) -> None:
    def interrupt(name: str, epoch: Epoch) -> None:
        raise KeyboardInterrupt

    seen = Recorder(interrupt)
    batch = Batch({"it": JOB, "next": replace(JOB, seed=1)}, seen.keep, [seen])
    with (
        launched(Workers(1), PARAMS.runtime, WORKPLACE, check=lambda: None) as executor,
        pytest.raises(KeyboardInterrupt),
    ):
        run(executor, batch)
    assert states(seen) == [("it", "failed")]
    assert {ended.reason for ended in seen.ended} == {"interrupted"}


def test_a_result_that_cannot_be_kept_leaves_nothing_open(executor: Executor) -> None:
    def full(name: str, outcome: Finished | Failed) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    seen = Recorder()
    with pytest.raises(OSError, match="No space left"):
        run(executor, Batch({"it": JOB}, full, [seen]))
    assert states(seen) == [("it", "failed")]


def test_an_error_while_stopping_does_not_hide_the_first(executor: Executor) -> None:
    class Broken(Recorder):
        def on_end(self, ended: Ended) -> None:
            raise RuntimeError("the store is gone")

    def full(name: str, outcome: Finished | Failed) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        run(executor, Batch({"it": JOB}, full, [Broken()]))
    assert caught.value.__notes__ == ["While stopping: RuntimeError: the store is gone"]
