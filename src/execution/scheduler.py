"""The one loop that runs many trainings, and the batch: those known beforehand."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from src.core.errors import first_line
from src.core.progress import Ended, Epoch, Observer
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
        """Whether `next` may have one, now or later, although none is running here."""

    def on_epoch(self, name: str, job: Job, epoch: Epoch) -> bool:
        """A training has done another epoch; returns whether it should continue."""

    def on_end(self, name: str, job: Job, outcome: Outcome) -> None:
        """A training has ended, one way or another."""

    def on_poll(self) -> None:
        """At least every POLL_INTERVAL seconds."""

    def on_stop(self, running: Mapping[str, Job], error: BaseException) -> None:
        """The loop is left by an error: these have not ended, and will not."""


def run(executor: Executor, jobs: Jobs) -> None:
    """Run trainings until there are no more."""
    running: dict[str, Job] = {}
    try:
        while running or jobs.more():
            while len(running) < executor.capacity and (started := jobs.next()):
                name, job = started
                running[name] = job
                executor.submit(name, job)
            # With nothing of its own to do, this process waits for those that share the jobs.
            for name, message in executor.messages(POLL_INTERVAL):
                if isinstance(message, Epoch):
                    executor.answer(name, jobs.on_epoch(name, running[name], message))
                else:
                    jobs.on_end(name, running[name], message)
                    del running[name]
            jobs.on_poll()
    except BaseException as error:
        try:
            jobs.on_stop(running, error)
        except Exception as second:  # which must not hide the first
            error.add_note(f"While stopping: {type(second).__name__}: {second}")
        raise


class Batch:
    """Jobs known beforehand, by name: each ends in `finished`, or in `failed` with the reason.

    If a worker dies, its job is run again, until MAX_TRIES have died of it. One that raises a
    UserError has failed. In both cases the others go on; a bug ends them all, as a WorkerError.
    keep: called at once with each outcome.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        keep: Callable[[str, Finished | Failed], None],
        observers: Sequence[Observer],
    ) -> None:
        self.finished: dict[str, Result] = {}
        self.failed: dict[str, str] = {}
        self._todo = [*jobs.items()]
        self._keep, self._observers = keep, observers
        self._deaths = Counter[str]()
        self._bug: WorkerError | None = None

    def next(self) -> tuple[str, Job] | None:
        if not self._todo:
            return None
        name, job = self._todo.pop(0)
        for observer in self._observers:
            observer.on_start(name, job.as_json())
        return name, job

    def more(self) -> bool:
        return bool(self._todo)

    def on_epoch(self, name: str, job: Job, epoch: Epoch) -> bool:
        for observer in self._observers:
            observer.on_epoch(name, epoch)
        return True

    def on_end(self, name: str, job: Job, outcome: Outcome) -> None:
        match outcome:
            case Finished():
                self._keep(name, outcome)
                result = outcome.result  # unpacked once
                self.finished[name] = result
                self._report(as_ended(name, job, result))
            case Failed(reason, traceback):
                if traceback:
                    self._bug = WorkerError(f"{name}: {reason}")
                    self._bug.__cause__ = RemoteError(traceback)
                else:
                    self._keep(name, outcome)
                self._fail(_failed(name, job, reason, traceback=traceback, machine=outcome.machine))
            case Lost(reason):
                self._deaths[name] += 1
                if self._deaths[name] == MAX_TRIES:
                    self._fail(_failed(name, job, f"{reason}, {MAX_TRIES} times"))
                    return
                self._report(_failed(name, job, f"{reason}; it will be run again"))
                self._todo.append((name, job))

    def on_poll(self) -> None:
        if self._bug:
            raise self._bug

    def on_stop(self, running: Mapping[str, Job], error: BaseException) -> None:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        reason = "interrupted" if stopped else f"stopped: {first_line(error)}"
        for name, job in running.items():
            self._report(_failed(name, job, reason))

    def _fail(self, ended: Ended) -> None:
        self.failed[ended.name] = ended.reason
        self._report(ended)

    def _report(self, ended: Ended) -> None:
        for observer in self._observers:
            observer.on_end(ended)


def _failed(name: str, job: Job, reason: str, **more: Any) -> Ended:
    return Ended(name, "failed", job.as_json(), reason=reason, **more)


def as_ended(name: str, job: Job, result: Result) -> Ended:
    """A finished training as observers are told of it."""
    return Ended(
        name,
        "complete",
        job.as_json(),
        result.metrics(),
        result.fit.epochs,
        machine=result.machine,
    )
