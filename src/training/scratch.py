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


def untrained(config: ModelConfig, data: ImageSet, seed: int) -> Checkpoint:
    """The network that `config` describes, for such images and on their device.

    `seed` draws the weights.
    """
    shape, classes = data.image_shape, data.classes
    weights = generator(seed, "weights")
    model = build_model(config, shape, len(classes), data.mean, data.std, weights)
    model.to(data.labels.device).to(memory_format=torch.channels_last)
    return Checkpoint(model, config, shape, classes)


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
    checkpoint = untrained(model_config, train_set, seed)
    plan = [LayerPlan()] * len(checkpoint.network.layers)
    step = Step(checkpoint.network, config, plan, train_set, seed)
    return Trained(checkpoint, fit(step, TrainVal(train_set, val_set), seed, reporters))
