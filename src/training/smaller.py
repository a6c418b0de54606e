"""Smaller models by name, as the section compress has them: what makes each from its parent."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.config.compression import CompressConfig, Int8Config, PrunedConfig, StudentConfig
from src.config.networks import ModelConfig
from src.config.sections import FinetuneConfig, RuntimeConfig, Section, Seed
from src.core import paths
from src.core.errors import UserError
from src.core.progress import Reporter
from src.data.imageset import ImageSet
from src.models.checkpoint import from_bytes, to_bytes
from src.models.quantising import quantise
from src.training.jobs import Images, LearnedFrom, Pruned, Smaller, Student, run_job


class Original(NamedTuple):
    """A model of the pipeline that may be made smaller."""

    path: Path
    stage: str  # that makes it
    home: str  # the data that it is for


ORIGINALS = {
    "base": Original(paths.BASE_MODEL, "train", "source"),
    "finetuned": Original(paths.FINETUNED_MODEL, "finetune", "target"),
}


class SmallerParams(Section):
    """The sections that decide a smaller model, besides its original."""

    seed: Seed
    runtime: RuntimeConfig
    model: ModelConfig
    finetune: FinetuneConfig  # its labels_per_class only
    compress: CompressConfig

    @property
    def original(self) -> Original:
        return ORIGINALS[self.compress.original]

    @property
    def learned_from(self) -> LearnedFrom:
        """What the original has learned from, and smaller models do."""
        return LearnedFrom(self.original.home, self.finetune.labels_per_class, self.seed)

    def job(self, name: str, parent: bytes, seed: int) -> Smaller | None:
        """The training that makes a model from its parent; None for one that is not trained.

        parent: the content of its file.
        """
        model, config = self.compress.models[name], self.compress
        if isinstance(model, Int8Config):
            return None
        job = Smaller(
            train=config.train,
            seed=seed,
            keep_model=True,
            parent=parent,
            learned_from=self.learned_from,
            distil=config.distil,
        )
        match model:
            case StudentConfig():
                return Student(model=model.config(self.model), **vars(job))
            case PrunedConfig():
                return Pruned(multiply_adds=model.multiply_adds, **vars(job))


def make(
    name: str, params: SmallerParams, parent: bytes, images: Images, reporters: Sequence[Reporter]
) -> bytes:
    """The content of a model's file, from that of its parent's."""
    job = params.job(name, parent, params.seed)
    if job is None:
        return as_int8(parent, images[f"{params.original.home}.train"])
    try:
        made = run_job(job, images, reporters).model
    except UserError as error:
        raise UserError(f"compress.models.{name}: {error}") from error
    assert made is not None
    return made


def as_int8(parent: bytes, data: ImageSet) -> bytes:
    """The content of a model's file with 8 bits; data: images of the kind that it is for."""
    return to_bytes(quantise(from_bytes(parent, data.labels.device), data))
