"""The course of a sweep: trials are claimed, trained by workers, judged after every epoch."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from src.core.errors import UserError
from src.core.progress import Epoch
from src.execution.messages import Failed, Finished, Job, Lost, Message, Stopped
from src.execution.pool import Pool
from src.tune.study import Study

TICK = 1.0  # seconds between two looks at what other processes do


class Witness(Protocol):
    """Told of every trial of this process."""

    def on_start(self, trial: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        """`trial` begins with the values `drawn`, and so with these parameters."""

    def on_epoch(self, trial: int, epoch: Epoch) -> None: ...

    def on_end(self, trial: int, state: str, value: float | None, reason: str) -> None:
        """`trial` is complete, pruned or failed; value: its validation loss, where complete."""


def sweep(
    study: Study, pool: Pool, wanted: int, deadline: float, witnesses: Sequence[Witness]
) -> None:
    """Run trials until the study has `wanted` finished ones, whichever processes run them.

    deadline: on the monotonic clock; none is begun after it. When left by an exception, the trials
    that run are failed, and their values wait for the next call.
    """
    course = _Course(study, pool, witnesses)
    try:
        while True:
            while pool.free and time.monotonic() < deadline and course.begin(wanted):
                pass
            late = time.monotonic() >= deadline
            if not pool.busy and (late or study.is_done(wanted)):
                return
            # Without workers of its own, this process waits for others to end the last trials.
            for number, message in pool.messages(TICK):
                course.go_on(number, message)
            study.beat()
    except BaseException:
        course.stop("the sweep was stopped")
        raise


class _Course:
    """What becomes of the trials of this process."""

    def __init__(self, study: Study, pool: Pool, witnesses: Sequence[Witness]) -> None:
        self._study, self._pool, self._witnesses = study, pool, witnesses
        self._epochs: dict[int, int] = {}

    def begin(self, wanted: int) -> bool:
        """Begin a trial, if one more is wanted."""
        number = self._study.claim(wanted)
        if number is None:
            return False
        drawn = self._study.values(number)
        try:
            params = self._study.space.params(drawn)
        except UserError as impossible:
            self._tell_start(number, drawn, {})
            self._study.prune(number, str(impossible))
            self._tell_end(number, "pruned", None, str(impossible))
            return True
        self._tell_start(number, drawn, params.model_dump(include={"seed", "model", "train"}))
        self._epochs[number] = params.train.epochs
        self._pool.submit(number, Job(params.model, params.train, params.seed))
        return True

    def go_on(self, number: int, message: Message) -> None:
        """Take what a worker says of its trial."""
        match message:
            case Epoch():
                for witness in self._witnesses:
                    witness.on_epoch(number, message)
                # After the last epoch there is nothing to save by pruning.
                last = message.epoch == self._epochs[number]
                self._pool.answer(number, self._study.report(number, message) or last)
            case Finished(kept):
                ours = self._study.complete(number, kept.val_loss)
                self._conclude(number, ours, "complete", kept.val_loss)
            case Stopped(epoch):
                reason = f"worse than others after epoch {epoch}"
                self._conclude(number, self._study.prune(number, reason), "pruned", None, reason)
            case Failed(reason):
                self._conclude(number, self._study.fail(number, reason), "failed", None, reason)
            case Lost(reason):
                self._study.lose(number, reason, blame=True)
                self._tell_end(number, "failed", None, reason)

    def stop(self, reason: str) -> None:
        """Give up what runs, in the study first: the rest can be mended from it."""
        stopped = self._study.running
        for number in stopped:
            self._study.lose(number, reason, blame=False)
        for number in stopped:
            self._tell_end(number, "failed", None, reason)

    def _conclude(
        self, number: int, ours: bool, state: str, value: float | None, reason: str = ""
    ) -> None:
        if ours:
            self._tell_end(number, state, value, reason)
        else:
            self._tell_end(number, "failed", None, "another machine heard nothing of it")

    def _tell_start(self, number: int, drawn: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        for witness in self._witnesses:
            witness.on_start(number, drawn, params)

    def _tell_end(self, number: int, state: str, value: float | None, reason: str) -> None:
        for witness in self._witnesses:
            witness.on_end(number, state, value, reason)
