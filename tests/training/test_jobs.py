"""Jobs do what the stages do, and their results survive being kept."""

from dataclasses import replace

import pytest
import torch

from src.core.errors import UserError
from src.data.imageset import join
from src.data.splits import Splits
from src.models.checkpoint import to_bytes as model_bytes
from src.models.scoring import predict
from src.training.finetune import finetune, limit_labels, rehearse
from src.training.folds import draw_folds, train_without
from src.training.jobs import HELD_OUT, Adapt, Fold, Images, Job, Scratch, run_job
from src.training.result import from_bytes, to_bytes
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

PARAMS = shrunk()
SCRATCH = Scratch(train=PARAMS.train, seed=1, model=PARAMS.model)
FOLD = Fold(train=PARAMS.train, seed=1, model=PARAMS.model, number=0, folds=2)


@pytest.fixture(scope="module")
def images(few: Splits) -> Images:
    """The target is the source, upside down."""
    named = {f"source.{name}": data for name, data in few._asdict().items()}
    for name, data in few._asdict().items():
        named[f"target.{name}"] = replace(data, images=data.images.flip(2))
    return named


def test_scratch_is_the_train_stage(few: Splits, images: Images) -> None:
    job = replace(SCRATCH, tests=("source.test", "target.val"), keep_model=True)
    result = run_job(job, images)
    trained = train_from_scratch(PARAMS.model, PARAMS.train, few.train, few.val, 1)
    assert result.model == model_bytes(trained.checkpoint)
    assert [epoch.val_loss for epoch in result.fit.epochs] == [
        epoch.val_loss for epoch in trained.fit.epochs
    ]
    assert list(result.predictions) == ["source.test", "target.val"]
    made = result.predictions["source.test"]
    assert made.logits.equal(predict(trained.checkpoint.model, few.test))
    assert made.accuracy == float((made.logits.argmax(1) == few.test.labels).double().mean())
    assert result.metrics()["source_test_accuracy"] == made.accuracy
    assert result.parameters == sum(w.numel() for w in trained.checkpoint.model.parameters())


def test_scratch_may_have_few_labels_of_the_target(images: Images) -> None:
    result = run_job(replace(SCRATCH, role="target", labels=3, tests=("target.test",)), images)
    target = limit_labels(images["target.train"], 3, 1)
    model = train_from_scratch(PARAMS.model, PARAMS.train, target, images["target.val"], 1)
    expected = predict(model.checkpoint.model, images["target.test"])
    assert result.predictions["target.test"].logits.equal(expected)


@pytest.mark.parametrize("rehearsal", [0.0, 2.0])
def test_adapt_is_the_finetune_stage(few: Splits, images: Images, rehearsal: float) -> None:
    base = train_from_scratch(PARAMS.model, PARAMS.train, few.train, few.val, 0).checkpoint
    config = PARAMS.finetune.model_copy(update={"rehearsal": rehearsal})
    job = Adapt(train=config, seed=1, base=model_bytes(base), keep_model=True)
    mixed = limit_labels(images["target.train"], config.labels_per_class, 1)
    if rehearsal:
        mixed = rehearse(mixed, few.train, rehearsal, 1)
    expected = finetune(base, config, mixed, images["target.val"], 1)
    assert run_job(job, images).model == model_bytes(expected.checkpoint)


def test_a_fold_predicts_what_was_held_out(few: Splits, images: Images) -> None:
    job = Fold(train=PARAMS.train, seed=1, model=PARAMS.model, number=2, folds=4)
    data = join(few.train, few.val)
    held_out = draw_folds(data, 4, 1)[2]
    trained = train_without(PARAMS.model, PARAMS.train, data, held_out, 1)
    made = run_job(job, images).predictions[HELD_OUT]
    assert made.labels.equal(data.labels[held_out])
    assert made.logits.equal(predict(trained.checkpoint.model, data.subset(held_out)))


def test_a_result_survives_being_kept(images: Images) -> None:
    result = run_job(replace(SCRATCH, tests=("source.test",), keep_model=True), images)
    content = to_bytes(replace(result, alone=True))
    again = from_bytes(content, "it")
    assert (again.fit, again.parameters, again.seconds) == (
        result.fit,
        result.parameters,
        result.seconds,
    )
    assert again.alone
    assert again.model == result.model
    for made, kept in zip(
        result.predictions["source.test"], again.predictions["source.test"], strict=True
    ):
        assert torch.equal(made, kept)
    with pytest.raises(UserError, match="it: damaged"):
        from_bytes(content[:-1], "it")


@pytest.mark.parametrize(
    "other",
    [
        replace(SCRATCH, seed=2),
        replace(SCRATCH, train=shrunk(train__epochs=3).train),
        replace(SCRATCH, model=shrunk(model__dropout=0.1).model),
        replace(SCRATCH, tests=("source.test",)),
        replace(SCRATCH, role="target"),
        replace(SCRATCH, labels=3),
        replace(SCRATCH, keep_model=True),
        replace(FOLD, number=1),
        replace(FOLD, folds=3),
        Adapt(train=PARAMS.finetune, seed=1, base=b"one"),
        Adapt(train=PARAMS.finetune, seed=1, base=b"other"),
    ],
)
def test_what_decides_a_job_is_in_its_description(other: Job) -> None:
    same = Scratch(train=shrunk().train, seed=1, model=shrunk().model)
    assert same.as_json() == SCRATCH.as_json()
    assert other.as_json() != SCRATCH.as_json()
    others = (FOLD, Adapt(train=PARAMS.finetune, seed=1, base=b"third"))
    assert other.as_json() not in [each.as_json() for each in others]
