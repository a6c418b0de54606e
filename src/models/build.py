"""Networks by the name that `model.name` gives; a new one is a row here."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from src.config.networks import ModelConfig
from src.models.cnn import CNN
from src.models.mlp import MLP
from src.models.network import Network, initialise, linear

# Each is made from its section, (channels, height, width), the number of classes, mean and std.
NETWORKS: dict[str, Any] = {"cnn": CNN, "mlp": MLP}


def assemble(
    config: ModelConfig,
    image_shape: tuple[int, int, int],
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Network:
    """The network that `config` describes, without weights, on the CPU.

    image_shape: channels, height, width; mean, std: per channel, by which pixels from 0 to 255 are
    normalised. Raises UserError if the image is too small for `config`.
    """
    network = NETWORKS[config.name](config, image_shape, classes, mean, std)
    assert isinstance(network, Network)
    return network


def build_model(
    config: ModelConfig,
    image_shape: tuple[int, int, int],
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
) -> Network:
    """A network with fresh weights, drawn from `generator`, on the CPU.

    mean, std: per channel, of the training pixels from 0 to 255. Raises UserError if the image is
    too small for `config`.
    """
    channels = image_shape[0]
    match config.normalisation:
        case "unit":
            mean, std = [0.0] * channels, [255.0] * channels
        case "symmetric":
            mean, std = [127.5] * channels, [127.5] * channels
    model = assemble(config, image_shape, classes, mean, std)
    initialise(model, config.initialisation, generator)
    return model


def replace_head(
    model: Network, config: ModelConfig, classes: int, generator: torch.Generator
) -> None:
    """Give the network of `config` a fresh output layer for other classes."""
    dropout, output = model.head
    assert isinstance(dropout, nn.Dropout)
    assert isinstance(output, nn.Linear)
    model.head = nn.Sequential(*linear(dropout.p, output.in_features, classes))
    initialise(model.head, config.initialisation, generator)
