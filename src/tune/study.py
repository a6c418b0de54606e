"""An Optuna study that several processes share: who runs which trial, and when it is enough."""

import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from filelock import BaseFileLock
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from src.config.tuning import TuneConfig
from src.core.errors import UserError
from src.core.processes import is_alive, is_local, this_process
from src.core.progress import Epoch
from src.tune.samplers import build_pruner, build_sampler
from src.tune.space import Space

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
TAKEN = (*FINISHED, TrialState.RUNNING)

BEAT = 20.0  # seconds between two signs of life of a trial
SILENCE = 180.0  # seconds without one, after which a trial of another machine is given up
TRIES = 5  # times that the same values may cost their worker
FAILURES = 10  # so many may always fail, and as many as are wanted
SURPLUS = "not needed: enough trials were under way"


class Tally(NamedTuple):
    """How far a study is."""

    complete: int
    pruned: int
    failed: int  # without those whose values were run again
    best: FrozenTrial | None

    @property
    def finished(self) -> int:
        return self.complete + self.pruned


class Study:
    """The trials of a study, each run by one process at a time.

    Every trial carries the process that runs it. If that is gone, or silent for long on another
    machine, the trial fails, and its values wait to be run again.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        space: Space,
        config: TuneConfig,
        lock: BaseFileLock,
    ) -> None:
        self.optuna, self.space = study, space
        self._storage, self._config, self._lock = storage, config, lock
        self.optuna.pruner = build_pruner(config, space.most_epochs())
        self._me = this_process()
        self._seed: int = study.user_attrs["begun"]["seed"]
        self._running: dict[int, Trial] = {}
        self._last_beat = time.monotonic()
        self._heard: dict[int, tuple[object, float]] = {}  # others' last beat, and when it came

    @property
    def name(self) -> str:
        return self.optuna.study_name

    @property
    def id(self) -> str:
        """What tells it from a study of the same name that was deleted before."""
        return str(self.optuna.user_attrs["begun"]["id"])

    @property
    def running(self) -> list[int]:
        """The trials of this process."""
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
        """A new trial for this process to run, by its number; None while `wanted` are taken.

        Raises UserError if too many have failed.
        """
        with self._lock:
            self._give_up_lost()
            trials = self.trials()
            if _count(trials, *TAKEN) >= wanted:
                return None
            _check_failures(trials, wanted)
            if not _count(trials, TrialState.WAITING):
                fixed = self._fixed(trials)
                if fixed is None:
                    return None
                # Born with its process: one that is killed right after leaves no riddle.
                self.optuna.enqueue_trial(fixed, user_attrs={"owner": self._me})
            try:
                trial = self._ask()
            except UpdateFinishedTrialError:
                return None  # another machine took it for lost before it had its owner
            if trial is None or self._is_surplus(trial, wanted):
                return None
            self._running[trial.number] = trial
            return trial.number

    def is_done(self, wanted: int) -> bool:
        """Whether `wanted` trials are finished, or all points of a grid are tried."""
        trials = self.trials()
        if _count(trials, *FINISHED) >= wanted:
            return True
        open_ones = _count(trials, TrialState.RUNNING, TrialState.WAITING)
        return bool(trials) and not open_ones and self._fixed(trials) is None

    def give_up_lost(self) -> None:
        """Fail the trials whose process is gone; their values wait to be run again."""
        with self._lock:
            self._give_up_lost()

    def values(self, number: int) -> dict[str, Any]:
        """What the running trial `number` tries, by dotted name."""
        return self._running[number].params

    def report(self, number: int, epoch: Epoch) -> bool:
        """Keep an epoch of a running trial; whether the trial should go on."""
        trial = self._running[number]
        try:
            trial.report(epoch.val_loss, epoch.epoch)
            return not trial.should_prune()
        except UpdateFinishedTrialError:
            return False  # another machine, to which this one was silent, has given it up

    def complete(self, number: int, value: float) -> bool:
        """End a running trial with its validation loss; False if another machine gave it up."""
        return self._end(number, TrialState.COMPLETE, value)

    def prune(self, number: int, reason: str) -> bool:
        return self._end(number, TrialState.PRUNED, reason=reason)

    def fail(self, number: int, reason: str) -> bool:
        return self._end(number, TrialState.FAIL, reason=reason)

    def lose(self, number: int, reason: str, *, blame: bool) -> None:
        """Fail a running trial that was stopped from outside; its values will be run again.

        blame: whether the values may be at fault. Those that cost a worker TRIES times are not
        tried again.
        """
        with self._lock:
            del self._running[number]
            self._retry(self.trials()[number], reason, blame=blame)

    def beat(self) -> None:
        """Show other machines, now and then, that this process still works on its trials."""
        if time.monotonic() - self._last_beat < BEAT:
            return
        self._last_beat = time.monotonic()
        for trial in self._running.values():
            try:
                trial.set_user_attr("beat", self._last_beat)
            except UpdateFinishedTrialError:
                continue

    def recall(self, key: str) -> Any:
        """What was kept with the study under `key`; None if nothing was."""
        return self.optuna.user_attrs.get(key)

    def keep(self, key: str, value: Any) -> None:
        """Keep a value that JSON can express with the study."""
        self.optuna.set_user_attr(key, value)

    def _ask(self) -> Trial | None:
        """The first waiting trial with its values drawn, unless another machine has taken it."""
        trials = self.trials()
        first = next((trial for trial in trials if trial.state == TrialState.WAITING), None)
        if first is None:
            return None
        # Its number decides the draw: no two machines draw alike, nor does a study draw anew what
        # it runs again.
        draw = first.number - sum("retry_of" in t.user_attrs for t in trials[: first.number])
        self.optuna.sampler = build_sampler(self._config, self._seed, draw)
        trial = self.optuna.ask(self.space.distributions)
        trial.set_user_attr("owner", self._me)
        if trial.number != first.number and "retry_of" not in trial.user_attrs:
            self._fail(trial.number, SURPLUS)
            return None
        return trial

    def _is_surplus(self, trial: Trial, wanted: int) -> bool:
        """Whether there are enough without it, in which case it is failed.

        Only a machine that does not share the lock can have begun others meanwhile. Of trials that
        are begun at once, those with the lowest numbers stay.
        """
        before = [other for other in self.trials() if other.number < trial.number]
        surplus = _count(before, *TAKEN, TrialState.WAITING) >= wanted
        if surplus:
            self._fail(trial.number, SURPLUS)
        return surplus

    def _fixed(self, trials: Sequence[FrozenTrial]) -> dict[str, Any] | None:
        """The values of the next trial that no sampler draws; None if a grid has no more points."""
        if self._config.sampler != "grid":
            return {} if trials else self.space.present() or {}
        points = self.space.grid()
        random.Random(self._seed).shuffle(points)  # noqa: S311
        tried = [_values(trial) for trial in trials]
        return next((point for point in points if point not in tried), None)

    def _end(
        self, number: int, state: TrialState, value: float | None = None, reason: str = ""
    ) -> bool:
        trial = self._running.pop(number)
        try:
            trial.set_user_attr("reason", reason)
            self.optuna.tell(trial, value, state)
        except (UpdateFinishedTrialError, ValueError):
            return False
        return True

    def _fail(self, number: int, reason: str) -> None:
        trial = self.trials()[number]
        self._storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        self.optuna.tell(number, state=TrialState.FAIL)

    def _retry(self, trial: FrozenTrial, reason: str, *, blame: bool) -> None:
        """Fail a trial, and let its values wait to be run again."""
        tries = trial.user_attrs.get("tries", 0) + blame
        again = tries < TRIES
        if not again:
            reason += f", {tries} times"
        try:
            self._fail(trial.number, reason)
        except (UpdateFinishedTrialError, ValueError):
            return  # another machine was faster
        if again:
            about = {"owner": self._me, "retry_of": trial.number, "tries": tries}
            self.optuna.enqueue_trial(_values(trial), user_attrs=about)

    def _give_up_lost(self) -> None:
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and self._is_lost(trial):
                self._retry(trial, "its process was killed", blame=False)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        if trial.number in self._running:
            return False
        owner = trial.user_attrs.get("owner", {})
        if is_local(owner) and owner != self._me:
            return not is_alive(owner)
        # Of another machine. So are, without a common lock, trials without an owner, or still with
        # this process as theirs: another machine has taken them, and is about to say so.
        beat = trial.user_attrs.get("beat")
        last, since = self._heard.setdefault(trial.number, (beat, time.monotonic()))
        if beat != last:
            self._heard[trial.number] = (beat, time.monotonic())
            return False
        return time.monotonic() - since > SILENCE


def _values(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial tries: all of it, even if it was stopped before all was drawn."""
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
    if len(failures) >= max(wanted, FAILURES):
        reason = failures[-1].user_attrs.get("reason")
        raise UserError(
            f"{len(failures)} trials failed, the last because {reason}; narrow tune.space in a new "
            "study (--study NAME), or ask for more --trials to go on"
        )
