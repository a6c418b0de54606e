"""The convolutional network: convolution blocks, fully connected layers, an output layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.config.networks import CnnConfig
from src.models.network import ACTIVATIONS, Network, hidden_layers, linear

POOLS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {
    "max": nn.MaxPool2d,
    "average": nn.AvgPool2d,
}


class CNN(Network):
    def __init__(
        self,
        config: CnnConfig,
        image_shape: tuple[int, int, int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__(mean, std)
        channels, height, width = image_shape
        inputs = [channels, *config.channels[:-1]]
        self.convolutions = nn.Sequential(
            *(
                _convolution(config, before, after, *windows)
                for before, after, windows in zip(
                    inputs, config.channels, config.windows(), strict=True
                )
            )
        )
        height, width = config.map_sizes(height, width)[-1]
        widths = [config.channels[-1] * height * width, *config.hidden]
        self.hidden = hidden_layers(widths, config.dropout, config.activation)
        self.head = nn.Sequential(*linear(config.dropout, widths[-1], classes))

    @property
    def body(self) -> list[nn.Module]:
        return [*self.convolutions, *self.hidden]

    def features(self, normalised: Tensor) -> Tensor:
        features: Tensor = self.hidden(self.convolutions(normalised).flatten(1))
        return features


def _convolution(
    config: CnnConfig, inputs: int, outputs: int, kernel: int, stride: int, pool: int
) -> nn.Sequential:
    # skip_init: PyTorch would draw weights from its global generator, only to be overwritten.
    convolution = nn.utils.skip_init(
        nn.Conv2d,
        inputs,
        outputs,
        kernel,
        stride,
        padding=kernel // 2 if config.padding == "same" else 0,
        bias=not config.batch_norm,
    )
    norm = [nn.BatchNorm2d(outputs)] if config.batch_norm else []
    # Pooling before the activation leaves a quarter of the values to activate. For max pooling and
    # an increasing activation the result is the same. Measured: a sixth off each step.
    pools = [POOLS[config.pool](pool)] if pool > 1 else []
    return nn.Sequential(convolution, *norm, *pools, ACTIVATIONS[config.activation]())
