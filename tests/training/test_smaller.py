"""Smaller models are made from their parents, as params.yaml describes them."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch.nn import functional as F

from src.config.compression import DistilConfig, PrunedConfig
from src.core.errors import UserError
from src.core.progress import Reporter
from src.data.splits import Splits
from src.models.checkpoint import Checkpoint, from_bytes, to_bytes
from src.models.graph import Graph
from src.models.quantising import quantise
from src.models.scoring import as_pixels
from src.training.distil import DistilStep
from src.training.jobs import Images, Pruned, Student, run_job
from src.training.optim import LayerPlan
from src.training.scratch import train_from_scratch, untrained
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
    student = untrained(PARAMS.model, few.train, 0)
    config = DistilConfig(temperature=2.0, weight=0.75)
    plan = [LayerPlan()] * len(student.network.layers)
    step = DistilStep(student.network, PARAMS.train, plan, few.train, 0, base.model, config)
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


def test_a_smaller_model_is_what_its_training_gives(
    base: Checkpoint, few: Splits, images: Images
) -> None:
    original, reporter = to_bytes(base), Epochs()
    job = SMALLER.job("pruned", original, SMALLER.seed)
    assert isinstance(job, Pruned)
    pruned = make("pruned", SMALLER, original, images, [reporter])
    assert pruned == run_job(job, images).model
    assert reporter.count == SMALLER.compress.train.epochs
    made = from_bytes(make("pruned-int8", SMALLER, pruned, images, [reporter]), CPU)
    assert isinstance(made.model, Graph)
    assert made.config == from_bytes(pruned, CPU).config != base.config
    assert reporter.count == SMALLER.compress.train.epochs


def test_a_share_that_cannot_be_is_told_with_its_key(base: Checkpoint, images: Images) -> None:
    models = {"tiny": PrunedConfig(type="pruned", parent="original", multiply_adds=1e-6)}
    config = SMALLER.compress.model_copy(update={"models": models})
    params = SMALLER.model_copy(update={"compress": config})
    with pytest.raises(UserError, match=r"^compress\.models\.tiny: multiply_adds: should be at"):
        make("tiny", params, to_bytes(base), images, [])


def test_8_bits_are_measured_on_the_data_that_the_model_is_for(
    base: Checkpoint, images: Images
) -> None:
    config = SMALLER.compress.model_copy(update={"original": "finetuned"})
    params = SMALLER.model_copy(update={"compress": config})
    source, target = (make("int8", each, to_bytes(base), images, []) for each in (SMALLER, params))
    assert source == to_bytes(quantise(base, images["source.train"])) != target
    assert target == to_bytes(quantise(base, images["target.train"]))


def test_a_model_for_the_target_learns_from_both(images: Images) -> None:
    config = SMALLER.compress.model_copy(update={"original": "finetuned"})
    params = SMALLER.model_copy(update={"compress": config})
    learned = params.learned_from.of(images)
    few = 10 * cast(int, params.finetune.labels_per_class)
    assert len(learned.train) == few + 400
    assert learned.val is images["target.val"]
    others = replace(images["source.train"], classes=tuple("abcdefghij"))
    alone = params.learned_from.of({**images, "source.train": others})
    assert len(alone.train) == few
    assert SMALLER.learned_from.of(images).train is images["source.train"]
