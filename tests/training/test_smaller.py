"""Smaller models are made of their parents, step by step, as params.yaml describes them."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch.nn import functional as F

from src.config.compression import DistilConfig
from src.core.progress import Reporter
from src.data.splits import Splits
from src.models.checkpoint import Checkpoint, from_bytes, to_bytes
from src.models.graph import Graph
from src.models.scoring import as_pixels
from src.training.distil import DistilStep, fresh_student
from src.training.jobs import Images, Pruned, Student, run_job
from src.training.optim import LayerPlan
from src.training.scratch import train_from_scratch
from src.training.smaller import SmallerParams, make
from tests.conftest import shrunk
from tests.in_use import trained

CPU = torch.device("cpu")
PARAMS = shrunk()
SMALLER = SmallerParams.model_validate(PARAMS.model_dump(include={*SmallerParams.model_fields}))


@pytest.fixture(scope="module")
def base(few: Splits) -> Checkpoint:
    return trained(few)


@pytest.fixture(scope="module")
def images(few: Splits) -> Images:
    """The target is the source, upside down."""
    named = {f"source.{name}": data for name, data in few._asdict().items()}
    for name, data in few._asdict().items():
        named[f"target.{name}"] = replace(data, images=data.images.flip(2))
    return named


class Epochs(Reporter):
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    def on_epoch(self, epoch: object) -> None:
        self.count += 1


def test_the_loss_is_the_distance_to_the_teacher_and_to_the_labels(
    base: Checkpoint, few: Splits
) -> None:
    student = fresh_student(PARAMS.model, base, 0)
    config = DistilConfig(temperature=2.0, weight=0.75)
    plan = [LayerPlan()] * len(student.network.layers)
    step = DistilStep(base.model, config, student.network, PARAMS.train, plan, few.train, 0)
    pixels, labels = as_pixels(few.train.images[:8]), few.train.labels[:8]
    logits = student.model(pixels)
    taught = (base.model(pixels) / 2).softmax(1)
    distance = (taught * (taught.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    own = F.cross_entropy(logits, labels, label_smoothing=PARAMS.train.label_smoothing)
    expected = 0.75 * 4 * distance + 0.25 * own
    assert torch.allclose(step.loss(pixels, logits, labels), expected, atol=1e-5)


def test_without_its_teacher_a_student_is_trained_as_the_base_model_is(
    base: Checkpoint, few: Splits, images: Images
) -> None:
    job = SMALLER.job("student", to_bytes(base), 5)
    assert isinstance(job, Student)
    alone = replace(job, distil=DistilConfig(temperature=1.0, weight=0.0))
    here = train_from_scratch(job.model, job.train, few.train, few.val, 5)
    assert run_job(alone, images).model == to_bytes(here.checkpoint)
    assert run_job(job, images).model != to_bytes(here.checkpoint)


def test_a_smaller_model_is_made_through_what_it_is_made_of(
    base: Checkpoint, few: Splits, images: Images
) -> None:
    original = to_bytes(base)
    job = SMALLER.job("pruned", original, SMALLER.seed)
    assert isinstance(job, Pruned)
    watching, tracked = Epochs(), Epochs()
    made = from_bytes(make("pruned-int8", SMALLER, original, images, watching, tracked), CPU)
    assert isinstance(made.model, Graph)
    pruned = run_job(job, images).model
    assert pruned
    assert made.config == from_bytes(pruned, CPU).config != base.config
    assert (watching.count, tracked.count) == (SMALLER.compress.train.epochs, 0)
    assert make("pruned", SMALLER, original, images, watching, tracked) == pruned
    assert tracked.count == SMALLER.compress.train.epochs


def test_a_model_for_the_target_learns_from_both(images: Images) -> None:
    config = SMALLER.compress.model_copy(update={"original": "finetuned"})
    params = SMALLER.model_copy(update={"compress": config})
    learned = params.lessons.of(images)
    few = 10 * cast(int, params.finetune.labels_per_class)
    assert len(learned.train) == few + 400
    assert learned.val is images["target.val"]
    others = replace(images["source.train"], classes=tuple("abcdefghij"))
    alone = params.lessons.of({**images, "source.train": others})
    assert len(alone.train) == few
    assert SMALLER.lessons.of(images).train is images["source.train"]
