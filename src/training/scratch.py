"""Train a network from fresh weights: the base model, and the baseline of a fine-tuned one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from src.config.networks import ModelConfig
from src.config.sections import TrainConfig
from src.core.progress import Reporter
from src.core.runtime import generator
from src.data.imageset import ImageSet, TrainVal
from src.models.build import build_model
from src.models.checkpoint import Checkpoint
from src.training.fit import Fit, fit
from src.training.optim import LayerPlan
from src.training.step import Step


@dataclass(frozen=True)
class Trained:
    checkpoint: Checkpoint
    fit: Fit


def train_from_scratch(
    model_config: ModelConfig,
    config: TrainConfig,
    train_set: ImageSet,
    val_set: ImageSet,
    seed: int,
    reporters: Sequence[Reporter] = (),
) -> Trained:
    """Build the network that `model_config` describes, on the image sets' device, and fit it.

    `seed` draws the weights, the batches, the augmentation and the dropout.
    """
    model = build_model(
        model_config,
        train_set.image_shape,
        len(train_set.classes),
        train_set.mean,
        train_set.std,
        generator(seed, "weights"),
    )
    model = model.to(train_set.labels.device).to(memory_format=torch.channels_last)
    plan = [LayerPlan()] * len(model.layers)
    step = Step(model, config, plan, train_set, seed)
    history = fit(step, TrainVal(train_set, val_set), seed, reporters)
    checkpoint = Checkpoint(model, model_config, train_set.image_shape, train_set.classes)
    return Trained(checkpoint, history)
