"""Runs the trials of a sweep: starts them, passes them to workers, and ends them in the study."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from src.core.errors import UserError
from src.core.progress import Epoch
from src.execution.messages import Failed, Finished, Job, Lost, Message, Stopped
from src.execution.pool import Pool
from src.tracking.sweeps import Ended
from src.tune.study import Study

POLL_INTERVAL = 1.0  # seconds between two checks of what other processes have done


class TrialReporter(Protocol):
    """Called for every trial of this process."""

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """The trial starts. drawn: its values by dotted name; params: the sections they give."""

    def on_epoch(self, trial: int, epoch: Epoch) -> None:
        """The trial has trained another epoch."""

    def on_end(self, ended: Ended) -> None:
        """The trial is complete, pruned or failed."""


def sweep(
    study: Study, pool: Pool, wanted: int, deadline: float, reporters: Sequence[TrialReporter]
) -> None:
    """Run trials until the study has `wanted` finished ones, of this and all other processes.

    deadline: in seconds of time.monotonic(); no trial starts after it. If an exception is raised,
    the running trials are failed, and their values are queued again for the next call.
    """
    scheduler = _Scheduler(study, pool, reporters)
    try:
        while True:
            while pool.free and time.monotonic() < deadline and scheduler.start(wanted):
                pass
            late = time.monotonic() >= deadline
            if not pool.busy and (late or study.is_done(wanted)):
                return
            # With no busy worker of its own, this process waits for the last trials of others.
            for number, message in pool.messages(POLL_INTERVAL):
                scheduler.handle(number, message)
            study.heartbeat()
    except BaseException:
        scheduler.stop("the sweep was stopped")
        raise


class _Scheduler:
    """Keeps study, pool and reporters in step for the trials of this process."""

    def __init__(self, study: Study, pool: Pool, reporters: Sequence[TrialReporter]) -> None:
        self._study, self._pool, self._reporters = study, pool, reporters
        self._drawn: dict[int, Mapping[str, Any]] = {}
        self._epochs: dict[int, int] = {}

    def start(self, wanted: int) -> bool:
        """Start a trial; False if no more are needed now."""
        number = self._study.claim(wanted)
        if number is None:
            return False
        drawn = self._study.values(number)
        try:
            params = self._study.space.params(drawn)
        except UserError as impossible:
            self._report_start(number, drawn, {})
            self._end(Ended(number, "pruned", reason=str(impossible)))
            return True
        self._report_start(number, drawn, params.model_dump(include={"seed", "model", "train"}))
        self._epochs[number] = params.train.epochs
        self._pool.submit(number, Job(params.model, params.train, params.seed))
        return True

    def handle(self, number: int, message: Message) -> None:
        """Process a worker's message about its trial."""
        match message:
            case Epoch():
                for reporter in self._reporters:
                    reporter.on_epoch(number, message)
                # Pruning after the last epoch would save nothing.
                last = message.epoch == self._epochs[number]
                self._pool.answer(number, self._study.report(number, message) or last)
            case Finished(kept):
                self._end(Ended(number, "complete", kept.val_loss))
            case Stopped(epoch):
                self._end(Ended(number, "pruned", reason=f"worse than others after epoch {epoch}"))
            case Failed(reason, traceback):
                self._end(Ended(number, "failed", reason=reason, traceback=traceback))
            case Lost(reason):
                self._study.requeue(number, reason, blame=True)
                self._report_end(Ended(number, "failed", reason=reason))

    def stop(self, reason: str) -> None:
        """Fail the running trials, all in the study before any is reported.

        The reports can be repaired from the study, but not the other way round.
        """
        running = self._study.running
        for number in running:
            self._study.requeue(number, reason, blame=False)
        for number in running:
            self._report_end(Ended(number, "failed", reason=reason))

    def _end(self, ended: Ended) -> None:
        """End a trial in the study, then report it: as failed if another machine gave it up."""
        if ended.value is not None:
            accepted = self._study.complete(ended.trial, ended.value)
        elif ended.state == "pruned":
            accepted = self._study.prune(ended.trial, ended.reason)
        else:
            accepted = self._study.fail(ended.trial, ended.reason)
        if not accepted:
            given_up = "another machine saw no heartbeat and gave it up"
            ended = replace(ended, state="failed", value=None, reason=given_up)
        self._report_end(ended)

    def _report_start(
        self, number: int, drawn: Mapping[str, Any], params: Mapping[str, Any]
    ) -> None:
        self._drawn[number] = drawn
        for reporter in self._reporters:
            reporter.on_start(number, drawn, params)

    def _report_end(self, ended: Ended) -> None:
        ended = replace(ended, drawn=self._drawn.pop(ended.trial, {}))
        for reporter in self._reporters:
            reporter.on_end(ended)
