"""`tune`: what a sweep varies, how it draws, and how it makes sure of its winner."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from src.config.section import Section, Tuple

Scalar = bool | int | float | str | None


def _differ(choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if len(set(choices)) < len(choices):
        raise ValueError(f"should differ from each other, not {list(choices)}")
    return choices


Choices = Annotated[tuple[Scalar, ...], Tuple, Field(min_length=1), AfterValidator(_differ)]


class FloatRange(Section):
    """Real numbers from `low` to `high`, drawn evenly, or evenly in their logarithm."""

    type: Literal["float"]
    low: float
    high: float
    log: bool

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low should be below high ({self.high}), not {self.low}")
        if self.log and self.low <= 0:
            raise ValueError(f"low should be above 0 where log is true, not {self.low}")
        return self


class IntRange(FloatRange):
    """The same of whole numbers."""

    type: Literal["int"]  # type: ignore[assignment]  # the tag by which ranges are told apart
    low: int
    high: int


class Categorical(Section):
    type: Literal["categorical"]
    choices: Choices


class PerLayer(Section):
    """A choice for each entry of a list."""

    type: Literal["per_layer"]
    choices: Choices


Range = Annotated[FloatRange | IntRange | Categorical | PerLayer, Field(discriminator="type")]


class ConfirmConfig(Section):
    top: Annotated[int, Field(ge=1, le=100)]
    seeds: Annotated[int, Field(ge=2, le=100)]


class TuneConfig(Section):
    sampler: Literal["tpe", "random", "grid", "qmc", "cma-es", "gp"]
    pruner: Literal["none", "median", "halving", "hyperband"]
    confirm: ConfirmConfig
    space: Annotated[dict[str, Range], Field(min_length=1)]
