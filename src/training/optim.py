"""Optimizers and learning-rate schedules from their sections of params.yaml."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from src.config.sections import OptimizerConfig, ScheduleConfig

# Where one_cycle starts, as a share of the peak: the value of Smith's one-cycle policy in fastai.
ONE_CYCLE_START = 1 / 25


@dataclass(frozen=True)
class LayerPlan:
    """How a layer is trained: its factor of the learning rate, its first epoch (from 1)."""

    rate: float = 1.0
    from_epoch: int = 1


def build_optimizer(
    layers: Sequence[nn.Module], plan: Sequence[LayerPlan], config: OptimizerConfig
) -> Optimizer:
    """The optimizer that `config` names; its last parameter group has the head.

    Adjacent layers with the same rate share a group: the optimizer makes a call for each group.
    """
    planned = zip(layers, plan, strict=True)
    groups = [
        {
            "params": [weights for layer, _ in group for weights in layer.parameters()],
            "lr": config.learning_rate * rate,
        }
        for rate, group in groupby(planned, lambda each: each[1].rate)
    ]
    if config.name == "sgd":
        return SGD(
            groups,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
            weight_decay=config.weight_decay,
            fused=True,
        )
    adam = AdamW if config.name == "adamw" else Adam
    return adam(
        groups,
        betas=config.betas,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
    )


class Schedule:
    """Moves the rates of an optimizer: `step` after every batch."""

    def __init__(
        self, optimizer: Optimizer, config: ScheduleConfig, epochs: int, steps_per_epoch: int
    ) -> None:
        self._groups = [(group, group["lr"]) for group in optimizer.param_groups]
        self._config, self._length = config, (epochs, steps_per_epoch)
        self._next = 0
        self.step()

    def step(self) -> None:
        factor = rate_factor(self._config, self._next, *self._length)
        for group, rate in self._groups:
            group["lr"] = rate * factor
        self._next += 1


def rate_factor(config: ScheduleConfig, step: int, epochs: int, steps_per_epoch: int) -> float:
    """The factor, 0 to 1, of the learning rate at batch `step` (from 0)."""
    progress = step / (epochs * steps_per_epoch)
    match config.name:
        case "constant":
            return 1.0
        case "step":
            return config.step_factor ** (step // steps_per_epoch // config.step_epochs)
        case "cosine":
            return _glide(1.0, 0.0, progress)
        case "one_cycle" if progress < config.warmup:
            return _glide(ONE_CYCLE_START, 1.0, progress / config.warmup)
        case "one_cycle":
            return _glide(1.0, 0.0, (progress - config.warmup) / (1 - config.warmup))


def _glide(start: float, end: float, progress: float) -> float:
    """Half a cosine wave from `start` to `end` as `progress` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
