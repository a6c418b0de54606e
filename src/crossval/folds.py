"""Cross-validation: every image is read once by a model that has not learned it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.config.networks import ModelConfig
from src.config.sections import TrainConfig
from src.core.errors import UserError
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.imageset import ImageSet
from src.data.pixels import histogram, mean_and_std
from src.models.predict import predict
from src.training.scratch import train_from_scratch


@dataclass(frozen=True)
class Fold:
    """What a model said of the images that were held out from it."""

    images: Tensor  # their places in the data, int64 [n]
    logits: Tensor  # float32 [n, classes]


def join(first: ImageSet, second: ImageSet) -> ImageSet:
    """The images of both, in this order."""
    return replace(
        first,
        images=torch.cat([first.images, second.images]),
        labels=torch.cat([first.labels, second.labels]),
    )


def draw_folds(labels: Tensor, count: int, seed: int) -> list[Tensor]:
    """The places of each fold's images, int64, drawn from `seed`: of each class alike, within one.

    Raises UserError if there are fewer images of a class than folds.
    """
    draw = generator(seed, "folds")
    number = torch.empty_like(labels)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        if len(members) < count:
            raise UserError(
                f"--folds: should be at most {len(members)}, the images of the rarest class, "
                f"not {count}"
            )
        # Each class begins where another fold's turn is, lest the first folds get all remainders.
        turn = (torch.arange(len(members)) + int(label)) % count
        number[members[torch.randperm(len(members), generator=draw)]] = turn
    return [(number == fold).nonzero().flatten() for fold in range(count)]


# Told a fold's number and its training images: whoever shall be told of its epochs meanwhile.
Watch = Callable[[int, int], AbstractContextManager[Sequence[Reporter]]]


def check_epochs_are_fixed(train: TrainConfig) -> None:
    """UserError where held-out images would choose the epoch by which they are then judged."""
    if train.keep_best or train.patience is not None:
        raise UserError(
            "train.keep_best and train.patience: should be false and null to cross-validate: the "
            "held-out images would choose the epoch by which they are judged"
        )


def cross_validate(
    model: ModelConfig,
    train: TrainConfig,
    data: ImageSet,
    folds: Sequence[Tensor],
    seed: int,
    watch: Watch,
) -> list[Fold]:
    """What is said of each fold, by a model trained without it."""
    done = []
    for number, held_out in enumerate(folds, start=1):
        with watch(number, len(data) - len(held_out)) as reporters:
            done.append(train_without(model, train, data, held_out, seed, reporters))
    return done


def train_without(
    model: ModelConfig,
    train: TrainConfig,
    data: ImageSet,
    held_out: Tensor,
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Fold:
    """Train on all but the images at these places, as the train stage does; then read those."""
    learned = torch.ones(len(data), dtype=torch.bool)
    learned[held_out] = False
    train_set, rest = _standardised(data.subset(learned.nonzero().flatten())), data.subset(held_out)
    trained = train_from_scratch(model, train, train_set, rest, seed, reporters)
    return Fold(held_out, predict(trained.checkpoint.model, rest).cpu())


def _standardised(data: ImageSet) -> ImageSet:
    """With the statistics of these images alone."""
    mean, std = zip(*(mean_and_std(counts) for counts in histogram(data.images.cpu())), strict=True)
    return replace(data, mean=mean, std=std)
