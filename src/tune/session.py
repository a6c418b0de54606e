"""One call of the sweep: trials until there are enough, then the confirmation, then the report."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from src.config.params import Params
from src.core.signals import Interruption
from src.execution.pool import Pool
from src.tracking.sweeps import Ended
from src.tune.confirm import candidates, confirm, load_confirmation
from src.tune.results import ended_trials, metrics, write_report
from src.tune.status import Progress
from src.tune.study import Study
from src.tune.sweep import TrialReporter, sweep
from src.tune.verdict import describe


class StudyTracker(TrialReporter, Protocol):
    """Keeps a record of the study outside Optuna."""

    def mirror(self, trials: Iterable[Ended]) -> None:
        """Record all ended trials, including those of other or killed processes."""

    def conclude(self, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """Record the study's results so far."""


@dataclass(frozen=True)
class Session:
    """What one call of the sweep is to do."""

    study: Study
    params: Params  # the present ones
    tracker: StudyTracker
    csv: Path  # the table of trials; the rest of the report is in the folder without suffix
    check: Callable[[], None]  # raises UserError once data or code have changed, see Pool
    wanted: int  # finished trials of the study, over all calls
    workers: int
    timeout: float = float("inf")  # seconds after which no trial starts

    def run(self) -> None:
        """Run trials until `wanted` are finished, then confirm the winner, unless time is up.

        Even after an error or an interruption, results are kept, the report is written, and a
        summary is printed.
        """
        self.csv.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._run_trials()
            if self.study.is_done(self.wanted):
                self._confirm()
        finally:
            self._report()

    def _run_trials(self) -> None:
        # The number of threads affects the last bits of a result. With one thread per worker, the
        # number of workers does not.
        runtime = self.params.runtime.model_copy(update={"threads": 1})
        deadline = time.monotonic() + self.timeout
        with (
            Progress(self.study, self.wanted) as progress,
            Pool(self.workers, runtime, self.check) as pool,
        ):
            sweep(self.study, pool, self.wanted, deadline, [progress, self.tracker])

    def _confirm(self) -> None:
        # With as many threads as the train stage has, and so with fewer workers.
        runtime = self.params.runtime
        size = max(1, self.workers // runtime.threads)
        with self._confirmation_lock(), Pool(size, runtime, self.check) as pool:
            confirm(self.study, pool, candidates(self.study, self.params))

    @contextmanager
    def _confirmation_lock(self) -> Iterator[None]:
        lock = FileLock(self.csv.with_suffix(".confirm.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(
                f"Waiting for another process that confirms the winner of study {self.study.name}."
            )
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _report(self) -> None:
        with FileLock(self.csv.with_suffix(".report.lock")), Interruption():
            self.study.requeue_orphans()
            confirmation = load_confirmation(self.study, candidates(self.study, self.params))
            files = write_report(self.study, confirmation, self.csv)
            self.tracker.mirror(ended_trials(self.study))
            self.tracker.conclude(metrics(self.study, confirmation), files)
            print(describe(self.study, confirmation, self.wanted))
