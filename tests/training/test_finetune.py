from dataclasses import replace
from typing import Any

import pytest
import torch

from src.core.runtime import generator
from src.data.catalogue import DIGITS
from src.data.splits import Splits, read_splits
from src.models.checkpoint import Checkpoint
from src.models.scoring import score
from src.training.finetune import finetune, limit_labels, make_plan, rehearse
from src.training.optim import LayerPlan
from src.training.scratch import Trained, train_from_scratch
from tests.conftest import shrunk


@pytest.fixture(scope="module")
def base(mnist_5k: Splits) -> Checkpoint:
    params = shrunk(train__epochs=3)
    return train_from_scratch(
        params.model, params.train, mnist_5k.train, mnist_5k.val, 0
    ).checkpoint


@pytest.fixture(scope="module")
def optdigits(raw: Any) -> Splits:
    return read_splits(raw / "optdigits", DIGITS, shrunk().data.val_images, generator(0, "split"))


def adapt(base: Checkpoint, splits: Splits, **changes: Any) -> Trained:
    config = shrunk(**{f"finetune__{key}": value for key, value in changes.items()}).finetune
    few = limit_labels(splits.train, config.labels_per_class, 0)
    return finetune(base, config, few, splits.val, 0)


def moved_layers(base: Checkpoint, tuned: Trained) -> list[bool]:
    """Of each layer, from the image upwards: does any weight differ?"""
    return [
        any(
            not torch.equal(old, new)
            for old, new in zip(before.parameters(), after.parameters(), strict=True)
        )
        for before, after in zip(base.network.layers, tuned.checkpoint.network.layers, strict=True)
    ]


def test_full_moves_every_layer_and_leaves_the_base_alone(
    base: Checkpoint, optdigits: Splits
) -> None:
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    assert all(moved_layers(base, adapt(base, optdigits, strategy="full")))
    assert all(torch.equal(before[name], now) for name, now in base.model.state_dict().items())


def test_head_moves_the_head_alone_batch_statistics_included(
    base: Checkpoint, optdigits: Splits
) -> None:
    tuned = adapt(base, optdigits, strategy="head")
    assert moved_layers(base, tuned) == [False, False, False, True]
    statistics = dict(tuned.checkpoint.network.named_buffers())
    assert all(torch.equal(value, statistics[name]) for name, value in base.model.named_buffers())


def test_gradual_thaws_from_the_top() -> None:
    config = shrunk(finetune__strategy="gradual", finetune__epochs=8).finetune
    assert [layer.from_epoch for layer in make_plan(config, 4)] == [7, 5, 3, 1]
    assert [layer.from_epoch for layer in make_plan(config, 3)] == [6, 3, 1]


def test_gradual_leaves_a_layer_alone_until_its_turn(base: Checkpoint, optdigits: Splits) -> None:
    """Stopped after one, two, three epochs of four, by a rate that has fallen to nothing."""
    for epochs, moved in ((1, 1), (2, 2), (3, 3), (4, 4)):
        tuned = adapt(
            base,
            optdigits,
            strategy="gradual",
            epochs=4,
            schedule__name="step",
            schedule__step_epochs=epochs,
            schedule__step_factor=1e-30,
        )
        assert moved_layers(base, tuned) == [False] * (4 - moved) + [True] * moved


def test_discriminative_learns_slower_further_down() -> None:
    config = shrunk(finetune__strategy="discriminative", finetune__layer_decay=0.5).finetune
    assert make_plan(config, 3) == [LayerPlan(0.25), LayerPlan(0.5), LayerPlan(1.0)]


def test_transfer_beats_the_base_model_and_a_fresh_one(base: Checkpoint, optdigits: Splits) -> None:
    config = shrunk(finetune__epochs=15, finetune__labels_per_class=10).finetune
    few = limit_labels(optdigits.train, 10, 0)
    tuned = finetune(base, config, few, optdigits.val, 0).checkpoint.network
    fresh = train_from_scratch(base.config, config, few, optdigits.val, 0).checkpoint.network
    adapted = score(tuned, optdigits.test).accuracy
    assert adapted > score(base.model, optdigits.test).accuracy
    assert adapted > score(fresh, optdigits.test).accuracy


def test_the_normalisation_of_the_base_stays(base: Checkpoint, optdigits: Splits) -> None:
    tuned = adapt(base, optdigits).checkpoint.network
    assert torch.equal(tuned.mean, base.network.mean)
    assert list(optdigits.train.mean) != base.network.mean.flatten().tolist()


def test_other_classes_get_a_fresh_head(base: Checkpoint, optdigits: Splits) -> None:
    def lettered(split: Any) -> Any:
        return replace(split, classes=tuple("abcdefghijkl"))

    letters = Splits(*(lettered(split) for split in optdigits))
    tuned = adapt(base, letters).checkpoint
    assert tuned.classes == letters.train.classes
    assert tuned.model(torch.zeros(2, 1, 28, 28)).shape == (2, 12)


def test_a_fresh_head_is_drawn_from_the_seed(base: Checkpoint, optdigits: Splits) -> None:
    """Learning so slowly that the heads stay what they were drawn."""
    config = shrunk(finetune__optimizer__learning_rate=1e-30, finetune__epochs=1).finetune
    train, val = (
        replace(split, classes=tuple("abcdefghij")) for split in (optdigits.train, optdigits.val)
    )
    few = limit_labels(train, 5, 0)
    heads = [
        finetune(base, config, few, val, seed).checkpoint.network.state_dict()["head.1.weight"]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize(("per_class", "images"), [(3, 30), ("all", None), (10_000, None)])
def test_labels_are_limited_for_each_class(
    optdigits: Splits, per_class: Any, images: int | None
) -> None:
    limited = limit_labels(optdigits.train, per_class, 0)
    assert len(limited) == (images or len(optdigits.train))
    if images:
        assert limited.labels.bincount().tolist() == [per_class] * 10
        other = limit_labels(optdigits.train, per_class, 1)
        assert not torch.equal(limited.images, other.images)


def test_rehearsal_mixes_in_its_share_of_the_source(mnist_5k: Splits, optdigits: Splits) -> None:
    few = limit_labels(optdigits.train, 5, 0)
    mixed = rehearse(few, mnist_5k.train, 1.5, 0)
    assert len(mixed) == 50 + 75
    assert torch.equal(mixed.images[:50], few.images)
    assert torch.equal(mixed.labels[:50], few.labels)
    known = {image.numpy().tobytes() for image in mnist_5k.train.images}
    assert all(image.numpy().tobytes() in known for image in mixed.images[50:])
    again, other = (rehearse(few, mnist_5k.train, 1.5, seed) for seed in (0, 1))
    assert torch.equal(mixed.images, again.images)
    assert not torch.equal(mixed.images, other.images)


def test_rehearsal_takes_no_more_than_there_is(mnist_5k: Splits, optdigits: Splits) -> None:
    source = mnist_5k.train.subset(torch.arange(30))
    assert len(rehearse(optdigits.train, source, 1.0, 0)) == len(optdigits.train) + 30
