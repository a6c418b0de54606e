"""The sections of params.yaml as classes, in the order of the file.

`model` is in networks.py, `tune` in tuning.py. The classes hold no defaults: params.yaml does.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator

# YAML has lists only; a frozen section keeps them as tuples.
Tuple = Strict(False)

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen, strict mapping: every key is required, no other is allowed, numbers are finite."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class RuntimeConfig(Section):
    """Where the work is done."""

    device: str
    threads: Annotated[int, Field(ge=1, le=1024)]
    portable: bool = False  # as in files, and for results, from before there was a choice

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", device):
            return device
        raise ValueError(f"should be auto, cpu, cuda or cuda:N, not {device!r}")

    def one_thread(self) -> "RuntimeConfig":
        """For trainings beside each other.

        The number of threads changes the last bits of a result: with one each, the number of
        trainings at a time changes none.
        """
        return self.model_copy(update={"threads": 1})


class DataConfig(Section):
    """Which data sets (src/data/catalogue.py has them), and how they are split."""

    source: str
    target: str
    val_fraction: Annotated[float, Field(gt=0, lt=1)]

    def val_images(self, images: int) -> int:
        """How many of a class's training images are held out for validation."""
        return round(images * self.val_fraction)


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
    """How a network is trained."""

    epochs: Count
    batch_size: Count
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    augment: AugmentConfig
    label_smoothing: Fraction
    clip_norm: Positive | None
    patience: Count | None
    keep_best: bool


class FinetuneConfig(TrainConfig):
    """How the base model is adapted: a training that starts from its weights."""

    strategy: Literal["full", "head", "gradual", "discriminative"]
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    labels_per_class: int | Literal["all"]
    rehearsal: Annotated[float, Field(ge=0, le=100)]

    @field_validator("labels_per_class", mode="before")
    @classmethod
    def _number_or_all(cls, value: object) -> object:
        if value == "all" or (type(value) is int and value >= 1):
            return value
        raise ValueError(f"should be all or a whole number of at least 1, not {value!r}")


class EvaluateConfig(Section):
    """How the finished models are tested and shown."""

    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    mistakes: Annotated[int, Field(ge=1, le=100)]
