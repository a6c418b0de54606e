"""Smaller models by name, as the section compress describes them: what makes each of its parent."""

from src.config.compression import CompressConfig, Int8Config, PrunedConfig, StudentConfig
from src.config.networks import ModelConfig
from src.config.sections import FinetuneConfig, RuntimeConfig, Section, Seed
from src.core import paths
from src.core.progress import Reporter
from src.models.checkpoint import from_bytes, to_bytes
from src.models.quantising import quantise
from src.training.jobs import Images, Lessons, Pruned, Smaller, Student, run_job

# What may be made smaller, and the data that it is for.
ORIGINALS = {"base": paths.BASE_MODEL, "finetuned": paths.FINETUNED_MODEL}
HOMES = {"base": "source", "finetuned": "target"}


class SmallerParams(Section):
    """The sections that decide a smaller model, besides its original."""

    seed: Seed
    runtime: RuntimeConfig
    model: ModelConfig
    finetune: FinetuneConfig  # its labels_per_class only
    compress: CompressConfig

    @property
    def home(self) -> str:
        """The data that the models are for."""
        return HOMES[self.compress.original]

    @property
    def lessons(self) -> Lessons:
        """The images that the original has learned from."""
        return Lessons(self.home, self.finetune.labels_per_class, self.seed)

    def job(self, name: str, parent: bytes, seed: int) -> Smaller | None:
        """The training that makes a model of its parent; None for one that is not trained."""
        way, config = self.compress.models[name], self.compress
        shared = Smaller(
            train=config.train,
            seed=seed,
            keep_model=True,
            parent=parent,
            lessons=self.lessons,
            distil=config.distil,
        )
        match way:
            case StudentConfig():
                return Student(model=way.config(self.model), **vars(shared))
            case PrunedConfig():
                return Pruned(multiply_adds=way.multiply_adds, **vars(shared))
            case Int8Config():
                return None


def make(
    name: str,
    params: SmallerParams,
    original: bytes,
    images: Images,
    watching: Reporter,
    tracked: Reporter,
) -> bytes:
    """The content of a model's file, from that of the original's.

    What it is made of is made on the way. watching: told of all epochs; tracked: of its own only.
    """
    content = original
    for each in params.compress.line(name):
        if job := params.job(each, content, params.seed):
            reporters = [watching, tracked] if each == name else [watching]
            made = run_job(job, images, reporters).model
            assert made is not None
            content = made
        else:
            content = as_int8(content, params.lessons, images)
    return content


def as_int8(parent: bytes, lessons: Lessons, images: Images) -> bytes:
    """The content of a model's file, with 8 bits; lessons: by which ranges are measured."""
    data = lessons.of(images).train
    return to_bytes(quantise(from_bytes(parent, data.labels.device), data))
