"""`tune`: what a sweep varies, how it samples, and how it confirms its winner."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from src.config.sections import Section, Tuple
from src.config.values import value_at

Scalar = bool | int | float | str | None


def _differ(choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if len(set(choices)) < len(choices):
        raise ValueError(f"should differ from each other, not {list(choices)}")
    return choices


Choices = Annotated[tuple[Scalar, ...], Tuple, Field(min_length=1), AfterValidator(_differ)]


class FloatRange(Section):
    """Real numbers from `low` to `high`, uniform or (log) log-uniform."""

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
    """Whole numbers from `low` to `high`."""

    type: Literal["int"]  # type: ignore[assignment]  # the tag that selects the class
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


def keys_drawn(tree: Mapping[str, Any], name: str, values: Range) -> list[str]:
    """The single values that a range varies: for a list, one for each entry.

    Raises ValueError if `name` is no value of `tree`, or not one that such a range can vary.
    """
    try:
        present = value_at(tree, name)
    except KeyError as unknown:
        raise ValueError(
            f"tune.space.{name}: should name a value of model or train; a sweep varies no others"
        ) from unknown
    if isinstance(present, dict):
        raise ValueError(f"tune.space.{name}: should name one of its values: {', '.join(present)}")
    if isinstance(values, PerLayer) != isinstance(present, list):
        kind = "per_layer" if isinstance(present, list) else "float, int or categorical"
        raise ValueError(f"tune.space.{name}.type: should be {kind}, because of what it varies")
    if present == []:
        raise ValueError(f"tune.space.{name}: the list is empty, so there is nothing to vary")
    if isinstance(present, list):
        return [f"{name}.{index}" for index in range(len(present))]
    return [name]


def extremes(values: Range) -> tuple[Any, ...]:
    """All of its choices, or its bounds."""
    match values:
        case FloatRange() | IntRange():
            return values.low, values.high
        case Categorical() | PerLayer():
            return values.choices


def count_points(values: Range) -> int:
    """How many different values a range without floats has."""
    return values.high - values.low + 1 if isinstance(values, IntRange) else len(extremes(values))
