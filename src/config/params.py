"""The whole of params.yaml, and what must hold between its sections."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import ValidationError, model_validator

from src.config.compression import CompressConfig
from src.config.networks import ModelConfig
from src.config.parsing import as_sentence
from src.config.sections import (
    DataConfig,
    EvaluateConfig,
    FinetuneConfig,
    RuntimeConfig,
    Section,
    Seed,
    TrainConfig,
)
from src.config.tuning import Range, TuneConfig, count_points, extremes, keys_drawn
from src.config.values import with_values

GRID = 10_000  # points at most: they are listed


class Pipeline(Section):
    """What decides the results of the stages."""

    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig
    compress: CompressConfig


class Params(Pipeline):
    tune: TuneConfig

    @model_validator(mode="after")
    def _space_fits_parameters(self) -> Self:
        seen: set[str] = set()
        for name, key, values in self._keys_drawn():
            if key in seen:
                raise ValueError(f"tune.space.{name}: should not vary {key} a second time")
            seen.add(key)
            for value in extremes(values):
                self._check_value(name, key, value)
        return self

    @model_validator(mode="after")
    def _grid_is_finite(self) -> Self:
        if self.tune.sampler != "grid":
            return self
        points = 1
        for name, _, values in self._keys_drawn():
            if values.type == "float":
                raise ValueError(
                    f"tune.space.{name}: should be categorical where tune.sampler is grid: a grid "
                    "cannot list all floats"
                )
            points *= count_points(values)
        if points > GRID:
            raise ValueError(
                f"tune.space: should have at most {GRID} points where tune.sampler is grid, "
                f"not {points}"
            )
        return self

    def _keys_drawn(self) -> Iterator[tuple[str, str, Range]]:
        """Name in tune.space, dotted name of a single value, its range."""
        tree = self._varied()
        for name, values in self.tune.space.items():
            for key in keys_drawn(tree, name, values):
                yield name, key, values

    def _varied(self) -> dict[str, Any]:
        """The sections that a sweep may vary."""
        return self.model_dump(mode="json", include={"model", "train"})

    def _check_value(self, name: str, key: str, value: Any) -> None:
        section, *location = key.split(".")
        try:
            changed = with_values(self._varied(), {key: value})[section]
            type(getattr(self, section)).model_validate(changed)
        except ValidationError as invalid:
            for error in invalid.errors():
                # What is wrong only in combination (a value_error) may be right in another one.
                own = [str(part) for part in error["loc"]] == location
                if own and error["type"] != "value_error":
                    raise ValueError(f"tune.space.{name}: {as_sentence(error)}") from invalid
