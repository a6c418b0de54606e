"""`train`: how a network is fitted. The shape of `finetune`, too."""

from typing import Annotated, Literal

from pydantic import Field

from src.config.section import Fraction, Section, Tuple

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class OptimizerConfig(Section):
    name: Literal["sgd", "adam", "adamw"]
    learning_rate: Annotated[float, Field(gt=0, le=100)]
    weight_decay: NonNegative
    momentum: Fraction
    nesterov: bool
    betas: Annotated[tuple[Fraction, Fraction], Tuple]
    epsilon: Positive


class ScheduleConfig(Section):
    name: Literal["constant", "step", "cosine", "one_cycle"]
    warmup: Annotated[float, Field(gt=0, lt=1)]
    step_epochs: Count
    step_factor: Annotated[float, Field(gt=0, le=1)]


class AugmentConfig(Section):
    shift: Annotated[float, Field(ge=0, le=64)]
    rotation: Annotated[float, Field(ge=0, le=180)]
    scale: Fraction


class TrainConfig(Section):
    epochs: Count
    batch_size: Count
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    augment: AugmentConfig
    label_smoothing: Fraction
    clip_norm: Positive | None
    patience: Count | None
    keep_best: bool
