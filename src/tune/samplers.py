"""Optuna's samplers and pruners, by the names they have in params.yaml."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from src.config.tuning import TuneConfig


def build_sampler(config: TuneConfig, seed: int, draw: int) -> BaseSampler:
    """The sampler for one draw, numbered from 0.

    Each draw has a stream of its own, decided by `seed` and its number. So a sweep that is
    interrupted goes on as it would have, and never repeats what it drew before.
    """
    own = (seed * 1_000_003 + draw) % 2**32
    match config.sampler:
        case "tpe":
            return TPESampler(seed=own)
        case "random" | "grid":  # a grid's points are given to it
            return RandomSampler(seed=own)
        case "qmc":
            # One sequence for all draws: Optuna keeps the place in it.
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        case "cma-es":
            return CmaEsSampler(seed=own, warn_independent_sampling=False)
        case "gp":
            return GPSampler(seed=own, warn_independent_sampling=False)


def build_pruner(config: TuneConfig, epochs: int) -> BasePruner:
    """The pruner for trials of at most so many epochs."""
    match config.pruner:
        case "none":
            return NopPruner()
        case "median":
            # The first epochs tell little: the learning rate is still on its way up.
            return MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
        case "halving":
            return SuccessiveHalvingPruner(min_resource=max(1, epochs // 8), reduction_factor=2)
        case "hyperband":
            return HyperbandPruner(
                min_resource=max(1, epochs // 8), max_resource=epochs, reduction_factor=2
            )
