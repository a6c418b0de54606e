"""Real workers, on few digits."""

import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from src.core.errors import UserError, trace
from src.core.progress import Epoch
from src.data.splits import Splits
from src.execution.messages import Failed, Finished, Job, Lost, Message, Stopped
from src.execution.pool import Pool, WorkerError
from src.models.predict import predict
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

PARAMS = shrunk()
JOB = Job(PARAMS.model, PARAMS.train, seed=0)
LONG = Job(PARAMS.model, shrunk(train__epochs=10_000).train, seed=0)


def outcome(pool: Pool) -> Message:
    """The last message of the pool's only job, which continues after every epoch."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for number, message in pool.messages(timeout=1.0):
            if not isinstance(message, Epoch):
                return message
            pool.answer(number, True)
    raise AssertionError("no end within a minute")


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_for_epoch(pool: Pool) -> None:
    while not any(isinstance(message, Epoch) for _, message in pool.messages(timeout=1.0)):
        pass


def test_a_worker_trains_as_the_train_stage_does_to_the_last_bit(pool: Pool, few: Splits) -> None:
    pool.submit(0, JOB)
    message = outcome(pool)
    here = train_from_scratch(JOB.model, JOB.train, few.train, few.val, JOB.seed)
    assert isinstance(message, Finished)
    assert message.kept.val_loss == here.fit.kept.val_loss
    right = predict(here.checkpoint.model, few.val).argmax(1) == few.val.labels
    bits = np.unpackbits(np.frombuffer(message.correct, np.uint8))[: len(few.val)]
    assert torch.equal(torch.from_numpy(bits).bool(), right)


def test_one_worker_runs_one_job_after_another(pool: Pool) -> None:
    pool.submit(0, JOB)
    assert not pool.free
    first = outcome(pool)
    (process,) = children()
    assert pool.free
    pool.submit(1, JOB)
    second = outcome(pool)
    assert children() == [process]
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert first.kept.val_loss == second.kept.val_loss


def test_a_job_stops_when_the_answer_is_no(pool: Pool) -> None:
    pool.submit(0, LONG)
    ((number, message),) = [*pool.messages(timeout=60.0)]
    assert isinstance(message, Epoch)
    pool.answer(number, False)
    assert outcome(pool) == Stopped(epoch=1)


def test_a_loss_that_is_not_a_number_fails_the_job_and_not_the_worker(pool: Pool) -> None:
    bad = shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd")
    pool.submit(0, Job(bad.model, bad.train, seed=0))
    message = outcome(pool)
    assert isinstance(message, Failed)
    assert message.reason.startswith("the training loss became inf")
    assert message.traceback == ""
    pool.submit(1, JOB)
    assert isinstance(outcome(pool), Finished)


def test_a_killed_worker_is_reported_and_replaced(pool: Pool) -> None:
    pool.submit(0, LONG)
    wait_for_epoch(pool)
    (process,) = children()
    process.send_signal(signal.SIGKILL)
    assert outcome(pool) == Lost("its worker was killed, by someone or for lack of memory")
    assert pool.free
    pool.submit(1, JOB)
    assert isinstance(outcome(pool), Finished)


def test_a_worker_killed_while_idle_is_replaced(pool: Pool) -> None:
    pool.submit(0, JOB)
    outcome(pool)
    (process,) = children()
    process.kill()
    time.sleep(0.5)
    pool.submit(1, JOB)
    assert isinstance(outcome(pool), Finished)


def test_closing_the_pool_leaves_no_process(workplace: Path) -> None:
    with Pool(1, PARAMS.runtime, check=lambda: None) as pool:
        pool.submit(0, LONG)
        wait_for_epoch(pool)
        (process,) = children()
    assert not process.is_running()
    assert not children()


def test_a_worker_ends_soon_after_its_pool_is_gone(workplace: Path) -> None:
    """As when the process of the pool is killed by SIGKILL, and closes nothing."""
    pool = Pool(1, PARAMS.runtime, check=lambda: None)
    pool.submit(0, LONG)
    wait_for_epoch(pool)
    (worker,) = pool._workers
    worker.connection.close()
    assert worker.process.wait(timeout=20) == 0


def test_no_worker_starts_once_the_check_fails(workplace: Path) -> None:
    def check() -> None:
        raise UserError("fit has changed")

    with (
        Pool(1, PARAMS.runtime, check) as pool,
        pytest.raises(UserError, match="fit has changed"),
    ):
        pool.submit(0, JOB)
    assert not children()


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
    with Pool(1, runtime, check=lambda: None) as pool:
        pool.submit(0, JOB)
        with pytest.raises(UserError, match=message):
            outcome(pool)


def test_a_bug_that_keeps_a_worker_from_starting_shows_its_traceback(workplace: Path) -> None:
    broken = PARAMS.runtime.model_copy(update={"threads": "two"})
    with Pool(1, broken, check=lambda: None) as pool:
        pool.submit(0, JOB)
        with pytest.raises(WorkerError, match="set_num_threads expects an int") as caught:
            outcome(pool)
    assert "in set_up" in trace(caught.value)
