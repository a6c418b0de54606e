"""The trials of a sweep as jobs: drawn, reported and ended in the study."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from src.core.errors import UserError
from src.core.progress import Ended, Epoch, Observer
from src.execution.executor import Failed, Finished, Lost, Outcome, Stopped
from src.training.jobs import Job, Scratch
from src.tune.study import Study


class Trials:
    """What the scheduler is to run: until the study has `wanted` finished trials of all processes.

    deadline: in seconds of time.monotonic(); no trial starts after it. If the loop is left by an
    exception, the running trials are failed, and their values are queued again for the next call.
    """

    def __init__(
        self, study: Study, wanted: int, deadline: float, observers: Sequence[Observer]
    ) -> None:
        self._study, self._wanted, self._deadline = study, wanted, deadline
        self._observers = observers
        self._drawn: dict[str, Mapping[str, Any]] = {}

    def next(self) -> tuple[str, Job] | None:
        """The next trial; those whose values are impossible are pruned at once."""
        while not self._is_late and (number := self._study.claim(self._wanted)) is not None:
            name, drawn = f"trial-{number}", self._study.values(number)
            try:
                params = self._study.space.params(drawn)
            except UserError as impossible:
                self._start(name, drawn, {})
                self._end(Ended(name, "pruned", reason=str(impossible)))
                continue
            job = Scratch(train=params.train, seed=params.seed, model=params.model)
            self._start(name, drawn, params.model_dump(include={"seed", "model", "train"}))
            return name, job
        return None

    def more(self) -> bool:
        return not self._is_late and not self._study.is_done(self._wanted)

    def on_epoch(self, name: str, job: Job, epoch: Epoch) -> bool:
        for observer in self._observers:
            observer.on_epoch(name, epoch)
        # Pruning after the last epoch would save nothing.
        last = epoch.epoch == job.train.epochs
        return self._study.report(_number(name), epoch) or last

    def on_end(self, name: str, job: Job, outcome: Outcome) -> None:
        match outcome:
            case Finished():
                result = outcome.result  # unpacked once
                self._end(Ended(name, "complete", metrics=result.metrics(), machine=result.machine))
            case Stopped(epoch, machine):
                reason = f"worse than others after epoch {epoch}"
                self._end(Ended(name, "pruned", reason=reason, machine=machine))
            case Failed(reason, traceback, machine):
                self._end(
                    Ended(name, "failed", reason=reason, traceback=traceback, machine=machine)
                )
            case Lost(reason):
                self._study.requeue(_number(name), reason, blame=True)
                self._report(Ended(name, "failed", reason=reason))

    def on_poll(self) -> None:
        self._study.heartbeat()

    def on_stop(self, running: Mapping[str, Job], error: BaseException) -> None:
        """Fail the running trials, all in the study before any is reported.

        The reports can be repaired from the study, but not the other way round.
        """
        reason = "the sweep was stopped"
        claimed = self._study.running  # one may be claimed, and not running yet
        for number in claimed:
            self._study.requeue(number, reason, blame=False)
        for number in claimed:
            self._report(Ended(f"trial-{number}", "failed", reason=reason))

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _start(self, name: str, drawn: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._drawn[name] = drawn
        for observer in self._observers:
            observer.on_start(name, {**values, **drawn})

    def _end(self, ended: Ended) -> None:
        """End a trial in the study, then report it: as failed if another machine gave it up."""
        number, machine = _number(ended.name), ended.machine
        if ended.state == "complete":
            accepted = self._study.complete(number, ended.metrics["kept_val_loss"], machine)
        elif ended.state == "pruned":
            accepted = self._study.prune(number, ended.reason, machine)
        else:
            accepted = self._study.fail(number, ended.reason, machine)
        if not accepted:
            given_up = "another machine saw no heartbeat and gave it up"
            ended = replace(ended, state="failed", metrics={}, reason=given_up)
        self._report(ended)

    def _report(self, ended: Ended) -> None:
        ended = replace(ended, values=self._drawn.pop(ended.name, {}))
        for observer in self._observers:
            observer.on_end(ended)


def _number(name: str) -> int:
    return int(name.removeprefix("trial-"))
