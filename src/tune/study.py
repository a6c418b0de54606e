"""An Optuna study that several processes share: who runs which trial, and when it is done."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from filelock import BaseFileLock
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from src.core.errors import UserError
from src.core.processes import is_alive, is_local, this_process
from src.core.progress import Epoch
from src.execution.scheduler import MAX_TRIES
from src.tune.samplers import build_pruner, build_sampler
from src.tune.space import Space

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
TAKEN = (*FINISHED, TrialState.RUNNING)

Machine = Mapping[str, str]  # where a trial ran, by describe_worker
NO_MACHINE: Machine = {}  # it ran nowhere, or that is not known

HEARTBEAT_INTERVAL = 20.0  # seconds
HEARTBEAT_TIMEOUT = 180.0  # seconds without one before a trial of another machine is given up
MAX_FAILURES = 10  # failed trials that end a sweep, unless more trials are wanted
SURPLUS = "not needed: enough trials were under way"  # stored with studies


class Tally(NamedTuple):
    """The trials of a study, counted by how they ended."""

    complete: int
    pruned: int
    failed: int  # not counting those whose values were run again
    best: FrozenTrial | None  # the complete trial with the lowest validation loss

    @property
    def finished(self) -> int:
        return self.complete + self.pruned


class Study:
    """The trials of a study, each run by one process at a time.

    Every trial records its owner, the process that runs it. A trial is orphaned if its owner is
    dead or, on another machine, sends no heartbeat: it is failed, and its values are queued again.

    study: from `begin_study` or `load_study`; lock: shared by all processes of this machine.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        space: Space,
        lock: BaseFileLock,
    ) -> None:
        self.optuna, self.space = study, space
        self._storage, self._lock = storage, lock
        self.optuna.pruner = build_pruner(space.config, space.max_epochs())
        self._owner = this_process()
        self._seed: int = study.user_attrs["begun"]["seed"]
        self._running: dict[int, Trial] = {}
        self._last_beat = time.monotonic()
        # Trials of other machines: the last heartbeat, and when it was first seen.
        self._seen_beats: dict[int, tuple[object, float]] = {}

    @property
    def name(self) -> str:
        return self.optuna.study_name

    @property
    def id(self) -> str:
        """Unique, also among studies of the same name that have been deleted."""
        return str(self.optuna.user_attrs["begun"]["id"])

    @property
    def running(self) -> list[int]:
        """The numbers of the trials that this process runs."""
        return list(self._running)

    def trials(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False)

    def tally(self) -> Tally:
        trials = self.trials()
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        return Tally(
            len(complete),
            _count(trials, TrialState.PRUNED),
            len(_failures(trials)),
            min(complete, key=lambda trial: trial.values[0], default=None),
        )

    def claim(self, wanted: int) -> int | None:
        """The number of a new trial for this process to run; None if none is needed now.

        None is needed while `wanted` trials are finished or running. Raises UserError if too many
        have failed.
        """
        with self._lock:
            self._requeue_orphans()
            trials = self.trials()
            if _count(trials, *TAKEN) >= wanted:
                return None
            _check_failures(trials, wanted)
            if not _count(trials, TrialState.WAITING):
                fixed = self._fixed_values(trials)
                if fixed is None:
                    return None
                # Created with its owner, so that an orphaned trial can always be attributed to it.
                self.optuna.enqueue_trial(fixed, user_attrs={"owner": self._owner})
            try:
                trial = self._ask()
            except UpdateFinishedTrialError:
                return None  # another machine failed it as orphaned before it had its owner
            if trial is None or self._is_surplus(trial, wanted):
                return None
            self._running[trial.number] = trial
            return trial.number

    def is_done(self, wanted: int) -> bool:
        """Whether `wanted` trials are finished, or a grid has no more points to try."""
        trials = self.trials()
        if _count(trials, *FINISHED) >= wanted:
            return True
        unfinished = _count(trials, TrialState.RUNNING, TrialState.WAITING)
        return bool(trials) and not unfinished and self._fixed_values(trials) is None

    def requeue_orphans(self) -> None:
        """Fail the trials whose owner is dead, and queue their values again."""
        with self._lock:
            self._requeue_orphans()

    def values(self, number: int) -> dict[str, Any]:
        """The values that the running trial `number` tries, by dotted name."""
        return self._running[number].params

    def report(self, number: int, epoch: Epoch) -> bool:
        """Record an epoch of a running trial. Returns whether the trial should continue."""
        trial = self._running[number]
        try:
            trial.report(epoch.val_loss, epoch.epoch)
            return not trial.should_prune()
        except UpdateFinishedTrialError:
            return False  # another machine saw no heartbeat, and has given it up

    def complete(self, number: int, value: float, machine: Machine = NO_MACHINE) -> bool:
        """End a running trial with its validation loss. False if another machine gave it up."""
        return self._end(number, TrialState.COMPLETE, machine, value)

    def prune(self, number: int, reason: str, machine: Machine = NO_MACHINE) -> bool:
        """End a running trial as pruned. False if another machine gave it up."""
        return self._end(number, TrialState.PRUNED, machine, reason=reason)

    def fail(self, number: int, reason: str, machine: Machine = NO_MACHINE) -> bool:
        """End a running trial as failed. False if another machine gave it up."""
        return self._end(number, TrialState.FAIL, machine, reason=reason)

    def requeue(self, number: int, reason: str, *, blame: bool) -> None:
        """Fail a running trial that was stopped from outside, and queue its values again.

        blame: whether the values may have caused it. Values of which MAX_TRIES workers have died
        are not queued again.
        """
        with self._lock:
            del self._running[number]
            self._requeue(self.trials()[number], reason, blame=blame)

    def heartbeat(self) -> None:
        """Show other machines that this process is alive, at most once per HEARTBEAT_INTERVAL."""
        if time.monotonic() - self._last_beat < HEARTBEAT_INTERVAL:
            return
        self._last_beat = time.monotonic()
        for trial in self._running.values():
            try:
                trial.set_user_attr("beat", self._last_beat)
            except UpdateFinishedTrialError:
                continue

    def load_result(self, key: str) -> Any:
        """The value saved with the study under `key`, or None."""
        return self.optuna.user_attrs.get(key)

    def save_result(self, key: str, value: Any) -> None:
        """Save a value, which JSON must be able to express, with the study."""
        self.optuna.set_user_attr(key, value)

    def _ask(self) -> Trial | None:
        """Start the first waiting trial; None if another machine has started it meanwhile."""
        trials = self.trials()
        first = next((trial for trial in trials if trial.state == TrialState.WAITING), None)
        if first is None:
            return None
        # Numbered among the trials that are not retries: machines draw different values, and a
        # retry does not change what later trials draw.
        draw = first.number - sum("retry_of" in t.user_attrs for t in trials[: first.number])
        self.optuna.sampler = build_sampler(self.space.config, self._seed, draw)
        trial = self.optuna.ask(self.space.distributions)
        trial.set_user_attr("owner", self._owner)
        new = "retry_of" not in trial.user_attrs
        if new and (trial.number != first.number or self._is_second_start(trial)):
            self._fail(trial.number, SURPLUS)
            return None
        return trial

    def _is_second_start(self, trial: Trial) -> bool:
        """Whether another machine has queued the study's first trial, too, at the same time."""
        fixed, start = (
            self.trials()[n].system_attrs.get("fixed_params") for n in (trial.number, 0)
        )
        return trial.number > 0 and bool(fixed) and fixed == start

    def _is_surplus(self, trial: Trial, wanted: int) -> bool:
        """Whether there are enough trials without this one, which is then failed.

        This happens only among machines, which do not share the lock. Of trials that were started
        at the same time, those with the lowest numbers are kept.
        """
        before = [other for other in self.trials() if other.number < trial.number]
        surplus = _count(before, *TAKEN, TrialState.WAITING) >= wanted
        if surplus:
            self._fail(trial.number, SURPLUS)
        return surplus

    def _fixed_values(self, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """The next trial's values that no sampler draws; None if a grid has no more points."""
        if self.space.config.sampler != "grid":
            return {} if trials else self.space.present() or {}
        points = self.space.grid()
        random.Random(self._seed).shuffle(points)  # noqa: S311
        tried = [_values(trial) for trial in trials]
        return next((point for point in points if point not in tried), None)

    def _end(
        self,
        number: int,
        state: TrialState,
        machine: Machine,
        value: float | None = None,
        reason: str = "",
    ) -> bool:
        trial = self._running.pop(number)
        try:
            trial.set_user_attr("reason", reason)
            if machine:
                trial.set_user_attr("machine", dict(machine))
            self.optuna.tell(trial, value, state)
        except (UpdateFinishedTrialError, ValueError):
            return False
        return True

    def _fail(self, number: int, reason: str) -> None:
        trial = self.trials()[number]
        self._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        self.optuna.tell(number, state=TrialState.FAIL)

    def _requeue(self, trial: FrozenTrial, reason: str, *, blame: bool) -> None:
        tries = trial.user_attrs.get("tries", 0) + blame
        again = tries < MAX_TRIES
        if not again:
            reason += f", {tries} times"
        try:
            self._fail(trial.number, reason)
        except (UpdateFinishedTrialError, ValueError):
            return  # another machine has done it already
        if again:
            attributes = {"owner": self._owner, "retry_of": trial.number, "tries": tries}
            self.optuna.enqueue_trial(_values(trial), user_attrs=attributes)

    def _requeue_orphans(self) -> None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and self._is_orphaned(trial):
                self._requeue(trial, "its process was killed", blame=False)

    def _is_orphaned(self, trial: FrozenTrial) -> bool:
        if trial.number in self._running:
            return False
        owner = trial.user_attrs.get("owner", {})
        if is_local(owner) and owner != self._owner:
            return not is_alive(owner)
        # A trial of another machine. It may still have no owner, or this process, which queued it:
        # the machine that has started it is about to set the owner.
        beat = trial.user_attrs.get("beat")
        last, since = self._seen_beats.setdefault(trial.number, (beat, time.monotonic()))
        if beat != last:
            self._seen_beats[trial.number] = (beat, time.monotonic())
            return False
        return time.monotonic() - since > HEARTBEAT_TIMEOUT


def _values(trial: FrozenTrial) -> dict[str, Any]:
    """The values of a trial, including fixed ones if it was stopped before all were drawn."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _count(trials: Sequence[FrozenTrial], *states: TrialState) -> int:
    return sum(trial.state in states for trial in trials)


def _failures(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The failed trials whose values were not run again."""
    run_again = {trial.user_attrs.get("retry_of") for trial in trials}
    return [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL
        and trial.number not in run_again
        and trial.user_attrs.get("reason") != SURPLUS
    ]


def _check_failures(trials: Sequence[FrozenTrial], wanted: int) -> None:
    failures = _failures(trials)
    if len(failures) >= max(wanted, MAX_FAILURES):
        reason = failures[-1].user_attrs.get("reason")
        raise UserError(
            f"{len(failures)} trials failed, the last because {reason}; narrow tune.space in a new "
            "study (--study NAME), or continue with more --trials"
        )
