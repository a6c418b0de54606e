"""Real workers, on few digits."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from src.core.cli import Workers
from src.core.errors import UserError, trace
from src.core.progress import Epoch
from src.data.splits import Splits
from src.execution.executor import (
    Executor,
    Failed,
    Finished,
    Lost,
    Outcome,
    Setup,
    Stopped,
    WorkerError,
)
from src.execution.launch import launched
from src.execution.local import Pool
from src.models.scoring import predict
from src.training.jobs import Scratch
from src.training.scratch import train_from_scratch
from tests.conftest import WORKPLACE, shrunk

PARAMS = shrunk()
JOB = Scratch(train=PARAMS.train, seed=0, model=PARAMS.model, tests=("source.val",))
LONG = replace(JOB, train=shrunk(train__epochs=10_000).train)


def outcome(pool: Executor) -> Outcome:
    """The last message of the only job, which continues after every epoch."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for name, message in pool.messages(timeout=1.0):
            if not isinstance(message, Epoch):
                return message
            pool.answer(name, True)
    raise AssertionError("no end within a minute")


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_for_epoch(pool: Executor) -> None:
    while not any(isinstance(message, Epoch) for _, message in pool.messages(timeout=1.0)):
        pass


def test_a_worker_trains_as_the_train_stage_does_to_the_last_bit(
    executor: Executor, few: Splits
) -> None:
    executor.submit("it", JOB)
    message = outcome(executor)
    here = train_from_scratch(JOB.model, JOB.train, few.train, few.val, JOB.seed)
    assert isinstance(message, Finished)
    assert message.result.fit.kept.val_loss == here.fit.kept.val_loss
    assert message.result.alone
    made = message.result.predictions["source.val"]
    assert made.logits.equal(predict(here.checkpoint.model, few.val))
    assert made.labels.equal(few.val.labels)


def test_one_worker_runs_one_job_after_another(executor: Executor) -> None:
    executor.submit("first", JOB)
    first = outcome(executor)
    (process,) = children()
    executor.submit("second", JOB)
    second = outcome(executor)
    assert children() == [process]
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert first.result.fit.kept.val_loss == second.result.fit.kept.val_loss


def test_a_job_stops_when_the_answer_is_no(executor: Executor) -> None:
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    executor.answer("it", False)
    stopped = outcome(executor)
    assert isinstance(stopped, Stopped)
    assert stopped.epoch == 1
    assert {"cpu", "processor"} <= stopped.machine.keys()


def test_a_loss_that_is_not_a_number_fails_the_job_and_not_the_worker(executor: Executor) -> None:
    bad = shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd")
    executor.submit("it", replace(JOB, train=bad.train))
    message = outcome(executor)
    assert isinstance(message, Failed)
    assert message.reason.startswith("the training loss became nan")
    assert message.traceback == ""
    executor.submit("next", JOB)
    assert isinstance(outcome(executor), Finished)


def test_a_killed_worker_is_reported_and_replaced(executor: Executor) -> None:
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    (process,) = children()
    process.send_signal(signal.SIGKILL)
    assert outcome(executor) == Lost("its worker was killed, by someone or for lack of memory")
    executor.submit("next", JOB)
    assert isinstance(outcome(executor), Finished)


def test_a_worker_killed_while_idle_is_replaced(executor: Executor) -> None:
    executor.submit("it", JOB)
    outcome(executor)
    (process,) = children()
    process.kill()
    time.sleep(0.5)
    executor.submit("next", JOB)
    assert isinstance(outcome(executor), Finished)


def test_closing_the_pool_leaves_no_process(workplace: Path) -> None:
    before = children()
    with launched(Workers(1), PARAMS.runtime, WORKPLACE, check=lambda: None) as pool:
        pool.submit("it", LONG)
        wait_for_epoch(pool)
        (process,) = {*children()} - {*before}
    assert not process.is_running()
    assert children() == before


def test_a_worker_ends_soon_after_its_pool_is_gone(workplace: Path) -> None:
    """As when the process of the pool is killed by SIGKILL, and closes nothing."""
    pool = Pool(1, Setup(PARAMS.runtime, WORKPLACE, alone=True), check=lambda: None)
    pool.submit("it", LONG)
    wait_for_epoch(pool)
    (worker,) = pool._workers
    worker.connection.close()
    assert worker.process.wait(timeout=20) == 0


def test_no_worker_trains_once_the_check_fails(workplace: Path) -> None:
    def check() -> None:
        raise UserError("fit has changed")

    before = children()
    with launched(Workers(1), PARAMS.runtime, WORKPLACE, check) as pool:
        pool.submit("it", JOB)
        with pytest.raises(UserError, match="fit has changed"):
            outcome(pool)
    assert children() == before


@pytest.mark.parametrize(
    ("device", "missing", "message"),
    [
        ("cuda:99", None, "runtime.device: cuda:99 not found"),
        ("cpu", "train.safetensors", "train.safetensors: not found"),
    ],
)
def test_a_worker_that_cannot_start_gives_the_reason(
    workplace: Path, device: str, missing: str | None, message: str
) -> None:
    if missing:
        (workplace / "data/tensors/source" / missing).unlink()
    runtime = PARAMS.runtime.model_copy(update={"device": device})
    with launched(Workers(1), runtime, WORKPLACE, check=lambda: None) as pool:
        pool.submit("it", JOB)
        with pytest.raises(UserError, match=message):
            outcome(pool)


def test_a_bug_that_keeps_a_worker_from_starting_shows_its_traceback(workplace: Path) -> None:
    broken = PARAMS.runtime.model_copy(update={"threads": "two"})
    with launched(Workers(1), broken, WORKPLACE, check=lambda: None) as pool:
        pool.submit("it", JOB)
        with pytest.raises(WorkerError, match="set_num_threads expects an int") as caught:
            outcome(pool)
    assert "in set_up" in trace(caught.value)
