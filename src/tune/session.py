"""One call of the sweep: trials until there are enough, then the confirmation, then the report."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from src.config.params import Params
from src.core.signals import Interruption
from src.execution.pool import Pool
from src.tune.confirm import candidates, confirm, recall
from src.tune.results import metrics, outcomes, write_report
from src.tune.status import Progress
from src.tune.study import Study
from src.tune.sweep import Witness, sweep
from src.tune.verdict import in_words


class Record(Witness, Protocol):
    """Where a sweep can be looked up."""

    def mirror(
        self, outcomes: Iterable[tuple[int, str, float | None, str, Mapping[str, Any]]]
    ) -> None:
        """Hold all ended trials: number, state, validation loss, reason, values drawn."""

    def conclude(self, metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """Hold what the study came to so far."""


def run_session(
    study: Study,
    params: Params,
    record: Record,
    csv: Path,
    check: Callable[[], None],
    *,
    wanted: int,
    workers: int,
    timeout: float,
) -> None:
    """Work on the study until it has `wanted` finished trials and a winner, or the time is over.

    However it is left, what is done is kept, the report is at `csv` and in the folder beside it,
    and what that comes to is printed. check: raises UserError once data or code have changed, so
    that a worker started now would do otherwise than those before.
    """
    csv.parent.mkdir(parents=True, exist_ok=True)
    # Processes that end the same study together take turns.
    confirming, reporting = (csv.with_suffix(f".{work}.lock") for work in ("confirm", "report"))
    try:
        _run_trials(study, params, record, check, wanted, workers, timeout)
        if study.is_done(wanted):
            # As the train stage would train them: with its threads, so with fewer at a time.
            size = max(1, workers // params.runtime.threads)
            with _turn(confirming, study), Pool(size, params.runtime, check) as pool:
                confirm(study, pool, candidates(study, params))
    finally:
        with FileLock(reporting), Interruption():
            study.give_up_lost()
            confirmation = recall(study, candidates(study, params))
            files = write_report(study, confirmation, csv)
            record.mirror(outcomes(study))
            record.conclude(metrics(study, confirmation), files)
            print(in_words(study, confirmation, wanted))


@contextmanager
def _turn(path: Path, study: Study) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process confirms the winner of study {study.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _run_trials(
    study: Study,
    params: Params,
    record: Record,
    check: Callable[[], None],
    wanted: int,
    workers: int,
    timeout: float,
) -> None:
    # Threads decide the last bits: with one each, the number of workers does not.
    runtime = params.runtime.model_copy(update={"threads": 1})
    deadline = time.monotonic() + timeout
    with Progress(study, wanted) as progress, Pool(workers, runtime, check) as pool:
        sweep(study, pool, wanted, deadline, [progress, record])
