"""Trainings as data: a job has all that decides its result, so any process can do it."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from src.config.compression import DistilConfig
from src.config.networks import ModelConfig
from src.config.sections import FinetuneConfig, Section, TrainConfig
from src.core.progress import Reporter
from src.data.imageset import ImageSet, TrainVal, join
from src.models.checkpoint import Checkpoint, from_bytes, to_bytes
from src.models.pruning import prune
from src.models.scoring import Predictions, predict
from src.training.distil import distil
from src.training.finetune import Labels, finetune, limit_labels, rehearse
from src.training.folds import draw_folds, train_without
from src.training.result import Result
from src.training.scratch import Trained, train_from_scratch, untrained

Images = Mapping[str, ImageSet]  # by role and split: source.train, target.test
HELD_OUT = "held_out"  # the image set that a fold's model predicts


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all kinds of training have in common."""

    train: TrainConfig
    seed: int
    tests: tuple[str, ...] = ()  # the image sets to predict afterwards
    keep_model: bool = False

    def as_json(self) -> dict[str, Any]:
        """All that is in it, as JSON can express it; of a model the hash of its file."""
        values = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return {"kind": type(self).__name__, **values}


@dataclass(frozen=True, kw_only=True)
class Scratch(Job):
    """From fresh weights, as the train stage does."""

    model: ModelConfig
    role: str = "source"  # whose images
    labels: Labels = "all"  # labelled images per class


@dataclass(frozen=True, kw_only=True)
class Adapt(Job):
    """From the weights of a base model to the target, as the finetune stage does."""

    train: FinetuneConfig
    base: bytes = field(repr=False)  # the content of its file


@dataclass(frozen=True, kw_only=True)
class Fold(Job):
    """On the source's images for training and validation, but for those of a fold.

    Its model predicts these, as the image set HELD_OUT.
    """

    model: ModelConfig
    number: int  # from 0
    folds: int


class LearnedFrom(NamedTuple):
    """Which images a model has learned from.

    home: the data that it is for, source or target. A model for the target has learned from both
    data sets; labels: of the target, per class, drawn from `seed`.
    """

    home: str
    labels: Labels
    seed: int

    def of(self, images: Images) -> TrainVal:
        train_set, val_set = images[f"{self.home}.train"], images[f"{self.home}.val"]
        if self.home == "source":
            return TrainVal(train_set, val_set)
        few, source = limit_labels(train_set, self.labels, self.seed), images["source.train"]
        both = join(few, source) if source.classes == few.classes else few
        return TrainVal(both, val_set)


@dataclass(frozen=True, kw_only=True)
class Smaller(Job):
    """From a larger model, its parent, on images that this has learned from."""

    parent: bytes = field(repr=False)  # the content of its file
    learned_from: LearnedFrom
    distil: DistilConfig


@dataclass(frozen=True, kw_only=True)
class Student(Smaller):
    """Another network, from fresh weights."""

    model: ModelConfig


@dataclass(frozen=True, kw_only=True)
class Pruned(Smaller):
    """The parent itself, once it has been pruned."""

    multiply_adds: float  # share that remains


def run_job(job: Job, images: Images, reporters: Sequence[Reporter] = ()) -> Result:
    """Do the training that `job` describes; images: all sets that it needs, on one device."""
    started = time.perf_counter()
    trained, more = KINDS[type(job)](job, images, reporters)
    seconds = time.perf_counter() - started
    checkpoint = trained.checkpoint
    tests = {**{name: images[name] for name in job.tests}, **more}
    return Result(
        fit=trained.fit,
        parameters=sum(weights.numel() for weights in checkpoint.model.parameters()),
        seconds=seconds,
        predictions={name: _predictions(trained, data) for name, data in tests.items()},
        model=to_bytes(checkpoint) if job.keep_model else None,
    )


def _scratch(job: Scratch, images: Images, reporters: Sequence[Reporter]) -> "Done":
    train_set = limit_labels(images[f"{job.role}.train"], job.labels, job.seed)
    val_set = images[f"{job.role}.val"]
    return train_from_scratch(job.model, job.train, train_set, val_set, job.seed, reporters), {}


def _adapt(job: Adapt, images: Images, reporters: Sequence[Reporter]) -> "Done":
    target, val_set = images["target.train"], images["target.val"]
    base = from_bytes(job.base, target.labels.device)
    train_set = limit_labels(target, job.train.labels_per_class, job.seed)
    if job.train.rehearsal:
        train_set = rehearse(train_set, images["source.train"], job.train.rehearsal, job.seed)
    return finetune(base, job.train, train_set, val_set, job.seed, reporters), {}


def _fold(job: Fold, images: Images, reporters: Sequence[Reporter]) -> "Done":
    data = join(images["source.train"], images["source.val"])
    held_out = draw_folds(data, job.folds, job.seed)[job.number]
    trained = train_without(job.model, job.train, data, held_out, job.seed, reporters)
    return trained, {HELD_OUT: data.subset(held_out)}


def _student(job: Student, images: Images, reporters: Sequence[Reporter]) -> "Done":
    data, parent = _data_and_parent(job, images)
    student = untrained(job.model, data.train, job.seed)
    return distil(student, parent, job.train, job.distil, data, job.seed, reporters), {}


def _pruned(job: Pruned, images: Images, reporters: Sequence[Reporter]) -> "Done":
    data, parent = _data_and_parent(job, images)
    pruned = prune(parent, data.train, job.multiply_adds)
    return distil(pruned, parent, job.train, job.distil, data, job.seed, reporters), {}


def _data_and_parent(job: Smaller, images: Images) -> tuple[TrainVal, Checkpoint]:
    data = job.learned_from.of(images)
    return data, from_bytes(job.parent, data.train.labels.device)


Done = tuple[Trained, Images]  # with the image sets to predict besides job.tests

# How each kind is trained; a new one is a row here.
KINDS: dict[type[Job], Callable[[Any, Images, Sequence[Reporter]], Done]] = {
    Scratch: _scratch,
    Adapt: _adapt,
    Fold: _fold,
    Student: _student,
    Pruned: _pruned,
}


def _predictions(trained: Trained, data: ImageSet) -> Predictions:
    return Predictions(predict(trained.checkpoint.model, data).cpu(), data.labels.cpu())


def _plain(value: Any) -> Any:
    match value:
        case Section():
            return value.model_dump()
        case bytes():
            return hashlib.sha256(value).hexdigest()
        case _:
            return value
