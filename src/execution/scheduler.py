"""The one loop that runs many trainings, and the batch: those known beforehand."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from src.core.errors import UserError
from src.core.progress import Ended, Epoch
from src.execution.executor import (
    Executor,
    Failed,
    Finished,
    Lost,
    Outcome,
    RemoteError,
    WorkerError,
)
from src.training.jobs import Job
from src.training.result import Result

POLL_INTERVAL = 1.0  # seconds between two looks at what other processes have done
MAX_TRIES = 5  # workers that may die of one training


class Jobs(Protocol):
    """What is to be trained, and who decides about it."""

    def next(self) -> tuple[str, Job] | None:
        """The next training to start, by name; None if there is none at present."""

    def more(self) -> bool:
        """Whether `next` may have one later, although none is running here."""

    def on_epoch(self, name: str, epoch: Epoch) -> bool:
        """A training has done another epoch; returns whether it should continue."""

    def on_end(self, name: str, outcome: Outcome) -> None:
        """A training has ended, one way or another."""

    def on_poll(self) -> None:
        """At least every POLL_INTERVAL seconds."""

    def on_stop(self) -> None:
        """The loop was left by an exception: what was running has not ended, and will not."""


def run(executor: Executor, jobs: Jobs) -> None:
    """Run trainings until there are no more."""
    running: set[str] = set()
    try:
        while True:
            while len(running) < executor.capacity and (started := jobs.next()):
                name, job = started
                running.add(name)
                executor.submit(name, job)
            if not running and not jobs.more():
                return
            # With nothing of its own to do, this process waits for those that share the jobs.
            for name, message in executor.messages(POLL_INTERVAL):
                if isinstance(message, Epoch):
                    executor.answer(name, jobs.on_epoch(name, message))
                else:
                    running.remove(name)
                    jobs.on_end(name, message)
            jobs.on_poll()
    except BaseException:
        jobs.on_stop()
        raise


class Observer(Protocol):
    """Told of each of many trainings."""

    def on_start(self, name: str, values: Mapping[str, Any]) -> None:
        """A training starts. values: what sets it apart or decides its result, by dotted name."""

    def on_epoch(self, name: str, epoch: Epoch) -> None:
        """It has done another epoch."""

    def on_end(self, ended: Ended) -> None:
        """It is complete, pruned or failed."""


class Batch:
    """Jobs known beforehand, by name: each ends in `finished`, or in `failed` with the reason.

    If a worker dies, its job is run again. One that raises a UserError has failed, and the others
    go on; a bug ends them all, as a WorkerError. keep: called at once with each outcome.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        keep: Callable[[Job, Finished | Failed], None],
        observers: Sequence[Observer],
    ) -> None:
        self.finished: dict[str, Finished] = {}
        self.failed: dict[str, str] = {}
        self._jobs, self._keep, self._observers = jobs, keep, observers
        self._todo = [*jobs]
        self._running: set[str] = set()
        self._deaths = Counter[str]()

    def next(self) -> tuple[str, Job] | None:
        if not self._todo:
            return None
        name = self._todo.pop(0)
        job = self._jobs[name]
        self._running.add(name)
        for observer in self._observers:
            observer.on_start(name, job.about())
        return name, job

    def more(self) -> bool:
        return False

    def on_epoch(self, name: str, epoch: Epoch) -> bool:
        for observer in self._observers:
            observer.on_epoch(name, epoch)
        return True

    def on_end(self, name: str, outcome: Outcome) -> None:
        self._running.remove(name)
        job = self._jobs[name]
        match outcome:
            case Finished():
                self._keep(job, outcome)
                self.finished[name] = outcome
                self._report(as_ended(name, job, outcome.result))
            case Failed(reason, traceback) if traceback:
                self._report(Ended(name, "failed", job.about(), reason=reason))
                raise WorkerError(f"{name}: {reason}") from RemoteError(traceback)
            case Failed(reason):
                self._keep(job, outcome)
                self.failed[name] = reason
                self._report(Ended(name, "failed", job.about(), reason=reason))
            case Lost(reason):
                self._report(Ended(name, "failed", job.about(), reason=reason))
                self._deaths[name] += 1
                if self._deaths[name] == MAX_TRIES:
                    raise UserError(f"{name}: {reason}, {MAX_TRIES} times")
                self._todo.append(name)

    def on_poll(self) -> None:
        pass

    def on_stop(self) -> None:
        for name in self._running:
            self._report(Ended(name, "failed", self._jobs[name].about(), reason="interrupted"))

    def _report(self, ended: Ended) -> None:
        for observer in self._observers:
            observer.on_end(ended)


def as_ended(name: str, job: Job, result: Result) -> Ended:
    """A finished training as observers are told of it."""
    return Ended(name, "complete", job.about(), result.metrics(), result.fit.epochs)
