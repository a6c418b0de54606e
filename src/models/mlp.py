"""The multilayer perceptron: fully connected layers on the pixels, an output layer."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from src.config.networks import MlpConfig
from src.models.network import Network, hidden_layers, linear


class MLP(Network):
    def __init__(
        self,
        config: MlpConfig,
        image_shape: tuple[int, int, int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(mean, std)
        widths = [math.prod(image_shape), *config.hidden]
        self.hidden = hidden_layers(widths, config.dropout, config.activation)
        self.head = nn.Sequential(*linear(config.dropout, widths[-1], classes))

    @property
    def body(self) -> list[nn.Module]:
        return [*self.hidden]

    def features(self, normalised: Tensor) -> Tensor:
        features: Tensor = self.hidden(normalised.flatten(1))
        return features
