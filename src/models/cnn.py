"""The network: convolution blocks, fully connected blocks, and an output layer."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from src.config.model import ModelConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}
POOLS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {
    "max": nn.MaxPool2d,
    "average": nn.AvgPool2d,
}


class CNN(nn.Module):
    """Pixels, [B, C, H, W] on the scale 0 to 255, to logits, [B, classes].

    It normalises its input itself, so what is done before is the same in training and in use.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: ModelConfig,
        image_shape: tuple[int, int, int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        # Not weights: whoever rebuilds the network gives them anew.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        channels, height, width = image_shape
        inputs = [channels, *config.channels[:-1]]
        self.convolutions = nn.Sequential(
            *(
                _convolution(config, *sizes)
                for sizes in zip(inputs, config.channels, config.kernel_sizes, strict=True)
            )
        )
        height, width = config.map_sizes(height, width)[-1]
        widths = [config.channels[-1] * height * width, *config.hidden]
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(*_linear(config.dropout, *sizes), ACTIVATIONS[config.activation]())
                for sizes in pairwise(widths)
            )
        )
        self.head = nn.Sequential(*_linear(config.dropout, widths[-1], classes))

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.convolutions((pixels - self.mean) / self.std)
        logits: Tensor = self.head(self.hidden(features.flatten(1)))
        return logits

    @property
    def layers(self) -> list[nn.Module]:
        """The trainable layers, from the image upwards; the last is the head."""
        return [*self.convolutions, *self.hidden, self.head]

    def train(self, mode: bool = True) -> Self:
        """Frozen layers stay as in evaluation: their batch statistics are frozen with them."""
        super().train(mode)
        for layer in self.layers:
            if not any(weights.requires_grad for weights in layer.parameters()):
                layer.eval()
        return self


def build_model(
    config: ModelConfig,
    image_shape: tuple[int, int, int],
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
) -> CNN:
    """A network with fresh weights, drawn from `generator`, on the CPU.

    image_shape: channels, height, width; mean, std: per channel, of the training pixels from 0 to
    255. Raises UserError if the image is too small for the kernels and pools of `config`.
    """
    channels = image_shape[0]
    match config.normalisation:
        case "unit":
            mean, std = [0.0] * channels, [255.0] * channels
        case "symmetric":
            mean, std = [127.5] * channels, [127.5] * channels
    model = CNN(config, image_shape, classes, mean, std)
    initialise(model, config, generator)
    return model


def replace_head(model: CNN, config: ModelConfig, classes: int, generator: torch.Generator) -> None:
    """Give the network of `config` a fresh output layer for other classes."""
    dropout, linear = model.head
    assert isinstance(dropout, nn.Dropout)
    assert isinstance(linear, nn.Linear)
    model.head = nn.Sequential(*_linear(dropout.p, linear.in_features, classes))
    initialise(model.head, config, generator)


def initialise(module: nn.Module, config: ModelConfig, generator: torch.Generator) -> None:
    """Draw weights and biases uniformly, from the default range of a framework.

    fan_in, PyTorch's: within 1/sqrt(fan-in). glorot, Keras': within sqrt(6/(fan-in + fan-out)),
    and biases of 0 (Glorot and Bengio, 2010).
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if config.initialisation == "glorot":
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        else:
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for weights in layer.parameters():
                nn.init.uniform_(weights, -bound, bound, generator=generator)


def _convolution(config: ModelConfig, inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    # skip_init: PyTorch would draw weights from its global generator, only to be overwritten.
    convolution = nn.utils.skip_init(
        nn.Conv2d,
        inputs,
        outputs,
        kernel,
        padding=kernel // 2 if config.padding == "same" else 0,
        bias=not config.batch_norm,
    )
    norm = [nn.BatchNorm2d(outputs)] if config.batch_norm else []
    # Pooling before the activation leaves a quarter of the values to activate. For a maximum and
    # a rising activation the result is the same. Measured: a sixth off each step.
    pool = [POOLS[config.pool](config.pool_size)] if config.pool_size > 1 else []
    return nn.Sequential(convolution, *norm, *pool, ACTIVATIONS[config.activation]())


def _linear(dropout: float, inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Dropout(dropout), nn.utils.skip_init(nn.Linear, inputs, outputs)
