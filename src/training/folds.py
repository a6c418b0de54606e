"""Cross-validation: every image is predicted once by a model that was not trained on it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from src.config.networks import ModelConfig
from src.config.sections import TrainConfig
from src.core.errors import UserError
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.imageset import ImageSet
from src.data.pixels import histogram, mean_and_std
from src.training.scratch import Trained, train_from_scratch


def draw_folds(data: ImageSet, count: int, seed: int) -> list[Tensor]:
    """The indices of each fold's images, int64, stratified by class and drawn from `seed`.

    Raises UserError, naming the rarest class, if it has fewer images than there are folds.
    """
    # Two seconds that workers which draw no folds need not spend.
    from sklearn.model_selection import StratifiedKFold

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
    model: ModelConfig,
    config: TrainConfig,
    data: ImageSet,
    held_out: Tensor,
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Trained:
    """Train as the train stage does, on all images but those at `held_out`, which validate."""
    kept = torch.ones(len(data), dtype=torch.bool)
    kept[held_out] = False
    train_set = _with_own_statistics(data.subset(kept.nonzero().flatten()))
    return train_from_scratch(model, config, train_set, data.subset(held_out), seed, reporters)


def _with_own_statistics(data: ImageSet) -> ImageSet:
    """With the mean and standard deviation of these images alone."""
    mean, std = zip(*(mean_and_std(counts) for counts in histogram(data.images.cpu())), strict=True)
    return replace(data, mean=mean, std=std)
