"""Adapt a trained model to other data: which layers learn, when, and how fast."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from src.config.sections import FinetuneConfig
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.imageset import ImageSet, TrainVal, draw_per_class, join
from src.models.build import replace_head
from src.models.checkpoint import Checkpoint
from src.training.fit import fit
from src.training.optim import LayerPlan
from src.training.scratch import Trained
from src.training.step import Step

Labels = int | Literal["all"]  # of each class


def finetune(
    base: Checkpoint,
    config: FinetuneConfig,
    train_set: ImageSet,
    val_set: ImageSet,
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Trained:
    """Fit a copy of `base`, keeping its normalisation, to `train_set`.

    Where the classes differ, the output layer is replaced by a fresh one drawn from `seed`.
    """
    model = copy.deepcopy(base.network)
    if base.classes != train_set.classes:
        replace_head(model, base.config, len(train_set.classes), generator(seed, "head"))
        model.to(train_set.labels.device)
    plan = make_plan(config, len(model.layers))
    step = Step(model, config, plan, train_set, seed)
    history = fit(step, TrainVal(train_set, val_set), seed, reporters)
    return Trained(replace(base, model=model, classes=train_set.classes), history)


def make_plan(config: FinetuneConfig, layers: int) -> list[LayerPlan]:
    """The strategy as a plan for each layer, from the image upwards; the last is the head.

    gradual: the head first, then one more layer at equal intervals, all of them in the last one
    (Howard and Ruder, 2018). discriminative: the rate falls by `layer_decay` from layer to layer.
    """
    below_head = [layers - 1 - layer for layer in range(layers)]
    match config.strategy:
        case "full":
            return [LayerPlan() for _ in below_head]
        case "head":
            never = config.epochs + 1
            return [LayerPlan(from_epoch=never if depth else 1) for depth in below_head]
        case "gradual":
            return [
                LayerPlan(from_epoch=1 + depth * config.epochs // layers) for depth in below_head
            ]
        case "discriminative":
            return [LayerPlan(rate=config.layer_decay**depth) for depth in below_head]


def rehearse(data: ImageSet, source: ImageSet, share: float, seed: int) -> ImageSet:
    """`data` plus, against forgetting, `share` times as many images of `source`, of equal classes.

    They are drawn from `seed`, all of them if there are fewer (rehearsal; Robins, 1995).
    """
    assert data.classes == source.classes
    drawn = torch.randperm(len(source), generator=generator(seed, "rehearsal"))
    more = source.subset(drawn[: round(share * len(data))].to(source.labels.device))
    return join(data, more)


def limit_labels(data: ImageSet, per_class: Labels, seed: int) -> ImageSet:
    """`per_class` images of each class, or as many as there are, drawn from `seed`."""
    if per_class == "all":
        return data
    drawn = draw_per_class(
        data.labels.cpu(), lambda count: min(count, per_class), generator(seed, "labels")
    )
    return data.subset(drawn.to(data.labels.device))
