"""One call of the sweep: trials until there are enough, then the confirmation, then the report."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from src.config.params import Params
from src.core.cli import Workers
from src.core.errors import UserError
from src.core.files import waited_for, write_text
from src.core.finding import SUMMARY
from src.core.signals import Interruption
from src.core.terminal import wrapped
from src.execution.executor import Executor
from src.execution.launch import launched
from src.execution.scheduler import run
from src.pages.studies import write_study
from src.tracking.nested import TrackedStudy
from src.tracking.store import TUNE
from src.tune.confirm import Candidate, candidates, confirm, load_confirmation, train_leader
from src.tune.results import ended_trials, metrics, write_report
from src.tune.status import SweepProgress
from src.tune.study import Study
from src.tune.sweep import Trials
from src.tune.verdict import describe, in_numbers


@dataclass(frozen=True)
class Session:
    """What one call of the sweep is to do."""

    study: Study
    params: Params  # the present ones
    images: Mapping[str, Path]  # the image sets of all trainings
    tracker: TrackedStudy
    csv: Path  # the table of trials; the rest of the report is in the folder without suffix
    check: Callable[[], None]  # raises UserError once data or code have changed, see Pool
    wanted: int  # finished trials of the study, over all calls
    workers: Workers
    timeout: float = float("inf")  # seconds after which no trial starts

    def run(self) -> dict[str, object]:
        """Run trials until `wanted` are finished, then confirm the winner, unless time is up.

        Even after an error or an interruption, results are kept, the report is written, and a
        summary is printed. Returns it in numbers.
        """
        self.csv.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._train()
        except UserError:  # which says itself how to go on
            self._report(advise=False)
            raise
        except BaseException:
            self._report()
            raise
        return self._report()

    def _train(self) -> None:
        runtime = self.params.runtime
        with launched(self.workers, runtime.one_thread(), self.images, self.check) as executor:
            self._run_trials(executor)
            if not self.study.is_done(self.wanted):
                return
            with self._alone(executor):
                confirm(self.study, executor, self._candidates())
        # With as many threads as the train stage has: another number changes the last digits.
        at_home = Workers(1)  # where the train stage will repeat it
        with launched(at_home, runtime, self.images, self.check) as executor, self._alone(executor):
            train_leader(self.study, executor, self._candidates())

    def _run_trials(self, executor: Executor) -> None:
        deadline = time.monotonic() + self.timeout
        with SweepProgress(self.study, self.wanted) as progress:
            run(executor, Trials(self.study, self.wanted, deadline, [progress, self.tracker]))

    def _candidates(self) -> list[Candidate]:
        """Those of this moment: while one process waits, another may add better trials."""
        return candidates(self.study, self.params)

    def _alone(self, executor: Executor) -> AbstractContextManager[None]:
        """One process at a time confirms; while this one waits, Ctrl-C takes effect."""
        return waited_for(
            self.csv.with_suffix(".confirm.lock"),
            f"another process that confirms the winner of study {self.study.name}",
            lambda: [*executor.messages(0)],
        )

    def _report(self, *, advise: bool = True) -> dict[str, object]:
        with FileLock(self.csv.with_suffix(".report.lock")), Interruption():
            self.study.requeue_orphans()
            confirmation = load_confirmation(self.study, self._candidates())
            files = write_report(self.study, confirmation, self.csv)
            summary = describe(self.study, confirmation, self.wanted, advise=advise)
            files.append(self.csv.with_suffix("") / SUMMARY)
            write_text(f"{summary}\n", files[-1])
            self.tracker.mirror(ended_trials(self.study))
            numbers = metrics(self.study, confirmation)
            self.tracker.record.metrics(numbers)
            for path in files:
                self.tracker.record.file(path)
            self.tracker.record.note(f"```\n{summary}\n```")
            print(wrapped(summary))
            write_study(TUNE, self.tracker.record)
            places = [str(self.csv), str(self.csv.with_suffix(""))]
            print(f"written to {' and '.join(places)}")
        return {
            "study": self.study.name,
            "wanted": self.wanted,
            **numbers,
            **in_numbers(confirmation),
            "written": places,
        }
