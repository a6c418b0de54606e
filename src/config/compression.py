"""`compress`: smaller models by name, what each is made from, and how they are trained."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from src.config.networks import ModelConfig
from src.config.sections import Positive, Section, TrainConfig, Tuple

ORIGINAL = "original"  # as a parent: the model that compress.original names
ALONE = "-alone"  # after a student's name: the same network, trained without its parent
RESERVED = ("base", "finetuned", "scratch", ORIGINAL)  # names of other models
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class StudentConfig(Section):
    """Another network, trained from fresh weights on its parent's answers."""

    type: Literal["student"]
    parent: str
    network: dict[str, Any]  # what differs from the section model; all of it for another name

    def values(self, model: ModelConfig) -> dict[str, Any]:
        """All values of its network; model: the section of that name."""
        same = self.network.get("name", model.name) == model.name
        return {**(model.model_dump() if same else {}), **self.network}

    def config(self, model: ModelConfig) -> ModelConfig:
        """Its network, of values that have been checked."""
        found: ModelConfig = TypeAdapter(ModelConfig).validate_python(self.values(model))
        return found


class PrunedConfig(Section):
    """The parent without its least important channels and hidden units, trained on."""

    type: Literal["pruned"]
    parent: str
    multiply_adds: Annotated[float, Field(gt=0, lt=1)]  # share of the parent's that remains at most


class Int8Config(Section):
    """The parent with 8-bit weights and activations. Nothing is trained."""

    type: Literal["int8"]
    parent: str


SmallerConfig = Annotated[StudentConfig | PrunedConfig | Int8Config, Field(discriminator="type")]


class DistilConfig(Section):
    """How a smaller network learns from its parent."""

    temperature: Positive
    weight: Annotated[float, Field(ge=0, le=1)]


class CompressConfig(Section):
    original: Literal["base", "finetuned"]
    make: Annotated[tuple[str, ...], Tuple]
    models: Annotated[dict[Name, SmallerConfig], Field(min_length=1)]
    distil: DistilConfig
    train: TrainConfig

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = ", ".join(self.models)
        for name in self.make:
            if name not in self.models:
                raise ValueError(f"compress.make: should name some of {known}, not {name}")
        if len({*self.make}) < len(self.make):
            raise ValueError("compress.make: should name each model once")
        for name in self.models:
            if name in RESERVED or name.endswith(ALONE):
                raise ValueError(f"compress.models.{name}: is the name of another model")
            self.chain(name)
        return self

    def _networks(self, besides: str) -> list[str]:
        """The models that others can be made from."""
        return [
            name
            for name, model in self.models.items()
            if name != besides and not isinstance(model, Int8Config)
        ]

    def with_parents(self, names: Iterable[str]) -> list[str]:
        """These models and all that they are made from, parents first."""
        return [*dict.fromkeys(each for name in names for each in self.chain(name))]

    def chain(self, name: str) -> list[str]:
        """A model, and before it those that it is made from. Raises ValueError if it cannot be."""
        found = [name]
        while (parent := self.models[found[0]].parent) != ORIGINAL:
            key = f"compress.models.{found[0]}.parent"
            if parent not in self.models:
                known = ", ".join((ORIGINAL, *self._networks(besides=found[0])))
                raise ValueError(f"{key}: should be one of {known}, not {parent}")
            if parent in found:
                raise ValueError(f"{key}: should not lead back to {parent}")
            if isinstance(self.models[parent], Int8Config):
                raise ValueError(f"{key}: should be a network, not {parent}, which has 8 bits")
            found.insert(0, parent)
        return found
