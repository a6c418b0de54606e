"""Samplers and pruners, by their names in params.yaml."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from src.config.tuning import TuneConfig
from src.tune.halving import Halving


def build_sampler(config: TuneConfig, seed: int, draw: int) -> BaseSampler:
    """The sampler for draw number `draw`, from 0.

    Each draw has its own random stream, derived from `seed` and `draw`. So an interrupted sweep
    draws the same values as an uninterrupted one, and never the same values twice.
    """
    stream = (seed * 1_000_003 + draw) % 2**32
    match config.sampler:
        case "tpe":
            return TPESampler(seed=stream)
        case "random" | "grid":  # a grid's points are queued, not drawn
            return RandomSampler(seed=stream)
        case "qmc":
            # One sequence for all draws: Optuna stores the position in it.
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
        case "cma-es":
            return CmaEsSampler(seed=stream, warn_independent_sampling=False)
        case "gp":
            return GPSampler(seed=stream, warn_independent_sampling=False)


def build_pruner(config: TuneConfig, epochs: int) -> BasePruner:
    """The pruner for trials of at most `epochs` epochs."""
    match config.pruner:
        case "none":
            return NopPruner()
        case "median":
            # The first epochs say less: the learning rate is still warming up.
            return MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
        case "halving":
            # Looks within the warm-up, too: it is for many trials in little time.
            return Halving(epochs)
        case "hyperband":
            return HyperbandPruner(
                min_resource=max(1, epochs // 8), max_resource=epochs, reduction_factor=2
            )
