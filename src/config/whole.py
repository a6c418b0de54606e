"""The whole of params.yaml, and what must hold between its sections."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from src.config.data import DataConfig, facts_of
from src.config.evaluate import EvaluateConfig
from src.config.finetune import FinetuneConfig
from src.config.model import ModelConfig
from src.config.runtime import RuntimeConfig
from src.config.section import Section, Seed
from src.config.train import TrainConfig
from src.config.tune import Categorical, FloatRange, IntRange, PerLayer, Range, TuneConfig
from src.config.values import value_at, with_values

GRID = 10_000  # points at most: they are listed


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig
    tune: TuneConfig

    @model_validator(mode="after")
    def _test_images_are_unseen(self) -> Self:
        source, target = self.data.source, self.data.target
        if source != target and facts_of(source).origins & facts_of(target).origins:
            raise ValueError(
                f"data.target: should be {source} or of another origin: test images of one of "
                f"{source} and {target} are training images of the other"
            )
        return self

    @model_validator(mode="after")
    def _model_fits_images(self) -> Self:
        facts = facts_of(self.data.source)
        self.model.map_sizes(facts.height, facts.width)
        return self

    @model_validator(mode="after")
    def _splits_hold_every_class(self) -> Self:
        for dataset in (self.data.source, self.data.target):
            images = _images_per_class(dataset)
            if not 0 < self.data.val_images(images) < images:
                raise ValueError(
                    f"data.val_fraction: should leave each class of {dataset} (about {images} "
                    f"images) images to train and to validate, not {self.data.val_fraction}"
                )
        return self

    @model_validator(mode="after")
    def _batches_fit_data(self) -> Self:
        labels = self.finetune.labels_per_class
        per_class = self._train_images_per_class(self.data.target)
        few = per_class if labels == "all" else min(per_class, labels)
        self._check_batch("train", self.data.source, self._train_images_per_class(self.data.source))
        self._check_batch("finetune", self.data.target, few)
        return self

    def _check_batch(self, section: Literal["train", "finetune"], dataset: str, each: int) -> None:
        images = each * len(facts_of(dataset).classes)
        batch_size = getattr(self, section).batch_size
        if batch_size > images:
            raise ValueError(
                f"{section}.batch_size: should be at most {images}, the number of training "
                f"images, not {batch_size}"
            )

    def _train_images_per_class(self, dataset: str) -> int:
        images = _images_per_class(dataset)
        return images - self.data.val_images(images)

    @model_validator(mode="after")
    def _rehearsal_has_one_meaning(self) -> Self:
        source, target = facts_of(self.data.source), facts_of(self.data.target)
        if self.finetune.rehearsal and source.classes != target.classes:
            raise ValueError(
                "finetune.rehearsal: should be 0 where source and target have different classes, "
                f"not {self.finetune.rehearsal}"
            )
        return self

    @model_validator(mode="after")
    def _space_fits_parameters(self) -> Self:
        sections = {"model": self.model, "train": self.train}
        tree = {name: section.model_dump(mode="json") for name, section in sections.items()}
        seen: set[str] = set()
        for name, values in self.tune.space.items():
            for key in keys_drawn(tree, name, values):
                if key in seen:
                    raise ValueError(f"tune.space.{name}: should not vary {key} a second time")
                seen.add(key)
                for value in extremes(values):
                    _check_value(sections, tree, name, key, value)
        return self

    @model_validator(mode="after")
    def _grid_has_an_end(self) -> Self:
        if self.tune.sampler != "grid":
            return self
        tree, points = self.model_dump(mode="json"), 1
        for name, values in self.tune.space.items():
            if values.type == "float":
                raise ValueError(
                    f"tune.space.{name}: should be categorical where tune.sampler is grid, which "
                    "has no end of floats"
                )
            points *= _grid_points(values) ** len(keys_drawn(tree, name, values))
        if points > GRID:
            raise ValueError(
                f"tune.space: should have at most {GRID} points where tune.sampler is grid, "
                f"not {points}"
            )
        return self


def _images_per_class(dataset: str) -> int:
    # On average: data sets that are not balanced have a few more of one class than of another.
    facts = facts_of(dataset)
    return facts.train_images // len(facts.classes)


def _grid_points(values: Range) -> int:
    return values.high - values.low + 1 if isinstance(values, IntRange) else len(extremes(values))


def keys_drawn(tree: Mapping[str, Any], name: str, values: Range) -> list[str]:
    """The single values that a range varies: for a list, one for each entry."""
    try:
        present = value_at(tree, name)
    except KeyError:
        raise ValueError(
            f"tune.space.{name}: should name a value of model or train; a sweep varies no others"
        ) from None
    if isinstance(present, dict):
        raise ValueError(f"tune.space.{name}: should name one of its values: {', '.join(present)}")
    if isinstance(values, PerLayer) != isinstance(present, list):
        kind = "per_layer" if isinstance(present, list) else "float, int or categorical"
        raise ValueError(f"tune.space.{name}.type: should be {kind}, because of what it varies")
    if present == []:
        raise ValueError(f"tune.space.{name}: has no entries here, so there is nothing to vary")
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


def _check_value(
    sections: dict[str, Section], tree: dict[str, Any], name: str, key: str, value: Any
) -> None:
    section, *location = key.split(".")
    try:
        type(sections[section]).model_validate(with_values(tree, {key: value})[section])
    except ValidationError as invalid:
        for error in invalid.errors():
            # What is wrong in combination only (a value_error) may be right in another one.
            own = [str(part) for part in error["loc"]] == location
            if own and error["type"] != "value_error":
                told = error["msg"].replace("Input should", "should", 1)
                raise ValueError(f"tune.space.{name}: {told}, not {value!r}") from None
