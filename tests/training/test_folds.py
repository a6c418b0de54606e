from dataclasses import replace

import pytest
import torch

from src.core.errors import UserError
from src.data.imageset import ImageSet, join
from src.data.splits import Splits
from src.models.scoring import predict
from src.training.folds import check_epochs_are_fixed, draw_folds, train_without
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk


def labelled(labels: list[int]) -> ImageSet:
    images = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    return ImageSet(images, torch.tensor(labels), ("a", "b", "c"), (0.0,), (1.0,))


def test_every_image_is_in_one_fold_and_every_class_in_all() -> None:
    data = labelled([0] * 11 + [1] * 7 + [2] * 5).subset(torch.randperm(23))
    labels, folds = data.labels, draw_folds(data, 5, seed=0)
    assert torch.cat(folds).sort().values.tolist() == list(range(23))
    assert {len(fold) for fold in folds} <= {4, 5}
    for fold in folds:
        counts = labels[fold].bincount(minlength=3).tolist()
        assert counts[0] in (2, 3)
        assert counts[1] in (1, 2)
        assert counts[2] == 1


def test_folds_are_drawn_from_the_seed(few: Splits) -> None:
    first, again, other = (draw_folds(few.train, 4, seed) for seed in (0, 0, 1))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_a_class_rarer_than_the_folds_is_refused() -> None:
    message = "--folds: should be at most 2, the images of the rarest class, b, not 4"
    with pytest.raises(UserError, match=message):
        draw_folds(labelled([0, 0, 0, 1, 1, 2, 2, 2]), 4, seed=0)


def test_a_fold_is_what_the_same_training_predicts_for_unseen_images(few: Splits) -> None:
    params = shrunk()
    data = join(few.train, few.val)
    assert len(data) == 500
    folds = draw_folds(data, 5, seed=0)
    trained = train_without(params.model, params.train, data, folds[1], 0)
    rest = torch.ones(500, dtype=torch.bool)
    rest[folds[1]] = False
    kept = data.subset(rest.nonzero().flatten())
    pixels = kept.images.double()
    kept = replace(kept, mean=(pixels.mean().item(),), std=(pixels.std(correction=0).item(),))
    held_out = data.subset(folds[1])
    expected = train_from_scratch(params.model, params.train, kept, held_out, 0)
    logits, wanted = (predict(each.checkpoint.model, held_out) for each in (trained, expected))
    assert torch.allclose(logits, wanted, atol=1e-4)


@pytest.mark.parametrize("change", [{"train__keep_best": True}, {"train__patience": 2}])
def test_held_out_images_may_not_choose_the_epoch(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"train\.keep_best and train\.patience: should be false"):
        check_epochs_are_fixed(shrunk(**change).train)
