"""Cross-validation: every image is predicted once by a model that was not trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from src.config.params import Params
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
    """The predictions of one model for the images held out from its training."""

    images: Tensor  # their indices in the data, int64 [n]
    logits: Tensor  # float32 [n, classes]


def draw_folds(data: ImageSet, count: int, seed: int) -> list[Tensor]:
    """The indices of each fold's images, int64, stratified by class and drawn from `seed`.

    Raises UserError, naming the rarest class, if it has fewer images than there are folds.
    """
    labels = data.labels.cpu()
    images = labels.bincount(minlength=len(data.classes))
    rarest = min(labels.unique().tolist(), key=lambda label: int(images[label]))
    if images[rarest] < count:
        raise UserError(
            f"--folds: should be at most {images[rarest]}, the images of the rarest class, "
            f"{data.classes[rarest]}, not {count}"
        )
    state = generator(seed, "folds").initial_seed() % 2**32
    splitter = StratifiedKFold(count, shuffle=True, random_state=state)
    return [torch.from_numpy(held_out) for _, held_out in splitter.split(labels, labels)]


def check_epochs_are_fixed(train: TrainConfig) -> None:
    """Raise UserError where held-out images would choose the epoch that they then evaluate."""
    if train.keep_best or train.patience is not None:
        raise UserError(
            "train.keep_best and train.patience: should be false and null to cross-validate: the "
            "held-out images would choose the epoch that they then evaluate"
        )


def train_without(
    params: Params, data: ImageSet, held_out: Tensor, reporters: Sequence[Reporter] = ()
) -> Fold:
    """Train as the train stage does, on all images but those at `held_out`; then predict these."""
    kept = torch.ones(len(data), dtype=torch.bool)
    kept[held_out] = False
    train_set = _with_own_statistics(data.subset(kept.nonzero().flatten()))
    test_set = data.subset(held_out)
    trained = train_from_scratch(
        params.model, params.train, train_set, test_set, params.seed, reporters
    )
    return Fold(held_out, predict(trained.checkpoint.model, test_set).cpu())


def _with_own_statistics(data: ImageSet) -> ImageSet:
    """With the mean and standard deviation of these images alone."""
    mean, std = zip(*(mean_and_std(counts) for counts in histogram(data.images.cpu())), strict=True)
    return replace(data, mean=mean, std=std)
