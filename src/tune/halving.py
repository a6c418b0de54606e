"""The pruner `halving`: at some epochs, only the better half of the trials goes on."""

import math

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState


class Halving(BasePruner):
    """Compares trials after an eighth, a quarter and a half of `epochs`; waits for no other trial.

    Fractions of an epoch are rounded up: the first comparison is in the warm-up as it is. None is
    after the last epoch: it would save nothing.

    Asynchronous successive halving (Li et al., 2020), but not Optuna's: that one counts failed
    trials, too. A trial whose process is killed fails and is run again, so its own copy would
    compete with it, and an interruption would change which trials are stopped.
    """

    def __init__(self, epochs: int) -> None:
        self._rungs = {math.ceil(epochs / part) for part in (8, 4, 2)} - {epochs}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial's value is nan, or not in the better half, which is rounded up."""
        epoch = trial.last_step
        if epoch not in self._rungs:
            return False
        value = trial.intermediate_values[epoch]
        values = [
            other.intermediate_values[epoch]
            for other in study.get_trials(deepcopy=False)
            if other.state != TrialState.FAIL and epoch in other.intermediate_values
        ]
        better = sum(other < value for other in values)
        return math.isnan(value) or better >= math.ceil(len(values) / 2)
