"""`finetune`: a fit that starts from the base model, so `train`'s keys and a few of its own."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from src.config.train import TrainConfig


class FinetuneConfig(TrainConfig):
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
