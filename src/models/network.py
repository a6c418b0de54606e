"""What every network has: normalised input, layers from the image upwards, an output layer."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


class Network(nn.Module):
    """Pixels, [B, C, H, W] on the scale 0 to 255, to logits, [B, classes].

    It normalises its input itself, so training and use cannot differ in that. A subclass sets
    `head` and defines `body` and `features`.
    """

    mean: Tensor
    std: Tensor
    head: nn.Sequential  # dropout, then a linear layer

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Not weights: the file of a model has them in its metadata.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    def body(self) -> list[nn.Module]:
        """The trainable layers below the head, from the image upwards."""
        raise NotImplementedError

    def features(self, normalised: Tensor) -> Tensor:
        """What the head takes, [B, features], from normalised images [B, C, H, W]."""
        raise NotImplementedError

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features((pixels - self.mean) / self.std))
        return logits

    @property
    def layers(self) -> list[nn.Module]:
        """The trainable layers, from the image upwards; the last is the head."""
        return [*self.body, self.head]

    def train(self, mode: bool = True) -> Self:
        """Frozen layers stay in evaluation mode: their batch statistics are frozen with them."""
        super().train(mode)
        for layer in self.layers:
            if not any(weights.requires_grad for weights in layer.parameters()):
                layer.eval()
        return self


def linear(dropout: float, inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    """A linear layer without weights yet, and the dropout before it."""
    # skip_init: PyTorch would draw weights from its global generator, only to be overwritten.
    return nn.Dropout(dropout), nn.utils.skip_init(nn.Linear, inputs, outputs)


def hidden_layers(widths: Sequence[int], dropout: float, activation: str) -> nn.Sequential:
    """Fully connected layers from widths[0] inputs to widths[-1] outputs; none for one width."""
    return nn.Sequential(
        *(
            nn.Sequential(*linear(dropout, *sizes), ACTIVATIONS[activation]())
            for sizes in pairwise(widths)
        )
    )


def initialise(module: nn.Module, how: str, generator: torch.Generator) -> None:
    """Draw weights and biases uniformly, from the default range of a framework.

    fan_in, PyTorch's: within 1/sqrt(fan-in). glorot, Keras': within sqrt(6/(fan-in + fan-out)),
    and biases of 0 (Glorot and Bengio, 2010).
    """
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if how == "glorot":
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        else:
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for weights in layer.parameters():
                nn.init.uniform_(weights, -bound, bound, generator=generator)
