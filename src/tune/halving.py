"""The pruner `halving`: at some epochs, only the better half of the trials goes on."""

import math

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState


class Halving(BasePruner):
    """Compares trials after an eighth, a quarter and a half of `epochs`; waits for no other trial.

    Epochs are rounded up. Unlike Optuna's pruner of this kind (asynchronous successive halving, Li
    et al., 2020), it ignores failed trials: a trial whose process was killed fails and is run
    again, and would otherwise compete with its own copy.
    """

    def __init__(self, epochs: int) -> None:
        self._rungs = {math.ceil(epochs / part) for part in (8, 4, 2)}

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
