"""`model`: a class for each network; `model.name` selects it."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from src.config.sections import Fraction, Section, Tuple
from src.core.errors import UserError

Normalisation = Literal["dataset", "unit", "symmetric"]
Activation = Literal["relu", "leaky_relu", "prelu", "gelu", "sigmoid", "tanh"]
Initialisation = Literal["fan_in", "glorot"]
Size = Annotated[int, Field(ge=1, le=65_536)]


class CnnConfig(Section):
    """Convolutions with pooling, then fully connected layers."""

    # The only defaults in any section: older files name neither a kind of network nor strides.
    name: Literal["cnn"] = "cnn"
    normalisation: Normalisation
    channels: Annotated[tuple[Size, ...], Tuple, Field(min_length=1)]
    padding: Literal["same", "valid"]
    kernel_sizes: Annotated[tuple[Size, ...], Tuple]
    strides: Annotated[tuple[Size, ...], Tuple] = ()
    batch_norm: bool
    activation: Activation
    pool: Literal["max", "average"]
    pool_size: Size
    hidden: Annotated[tuple[Size, ...], Tuple]
    dropout: Fraction
    initialisation: Initialisation

    @field_validator("kernel_sizes", "strides")
    @classmethod
    def _one_per_layer(cls, sizes: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        channels = info.data.get("channels", sizes)
        if len(sizes) != len(channels) and (sizes or info.field_name == "kernel_sizes"):
            raise ValueError(f"should have one value per entry of model.channels ({len(channels)})")
        return sizes

    @field_validator("kernel_sizes")
    @classmethod
    def _odd_for_same(cls, sizes: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("padding") == "same" and any(size % 2 == 0 for size in sizes):
            raise ValueError(f"should be odd where model.padding is same, not {list(sizes)}")
        return sizes

    def windows(self) -> list[tuple[int, int, int]]:
        """Each convolution's kernel size, its stride, and the size of the pool after it.

        A stride above 1 takes the place of the pool.
        """
        strides = self.strides or (1,) * len(self.channels)
        return [
            (kernel, stride, self.pool_size if stride == 1 else 1)
            for kernel, stride in zip(self.kernel_sizes, strides, strict=True)
        ]

    def check_image(self, height: int, width: int) -> None:
        """Raise UserError, naming the key, if images of this size are too small."""
        self.map_sizes(height, width)

    def with_widths(self, widths: Sequence[int]) -> "CnnConfig":
        """With so many channels and hidden units, from the image upwards."""
        layers = len(self.channels)
        return self.model_copy(
            update={"channels": (*widths[:layers],), "hidden": (*widths[layers:],)}
        )

    def map_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of the feature map after each convolution and its pooling.

        Raises UserError, naming the key, for a kernel or a pool larger than what it slides over.
        """
        sizes = []
        for layer, (kernel, stride, pool) in enumerate(self.windows()):
            if kernel > min(height, width):
                raise UserError(
                    f"model.kernel_sizes[{layer}]: should be at most {min(height, width)}, "
                    f"the size of the feature map it slides over, not {kernel}"
                )
            if self.padding == "valid":
                height, width = height - kernel + 1, width - kernel + 1
            height, width = math.ceil(height / stride), math.ceil(width / stride)
            if pool > min(height, width):
                raise UserError(
                    f"model.pool_size: should be at most {min(height, width)}, the size of the "
                    f"feature map after convolution {layer}, not {pool}"
                )
            height, width = height // pool, width // pool
            sizes.append((height, width))
        return sizes


class MlpConfig(Section):
    """Fully connected layers alone: what convolutions are compared with."""

    name: Literal["mlp"]
    normalisation: Normalisation
    hidden: Annotated[tuple[Size, ...], Tuple]
    activation: Activation
    dropout: Fraction
    initialisation: Initialisation

    def check_image(self, height: int, width: int) -> None:
        """Does nothing: images of any size fit."""

    def with_widths(self, widths: Sequence[int]) -> "MlpConfig":
        """With so many hidden units, from the image upwards."""
        return self.model_copy(update={"hidden": (*widths,)})


def name(section: object) -> object:
    """The name of the network that a section, parsed or not, describes."""
    if isinstance(section, Mapping):
        return section.get("name", "cnn")
    return getattr(section, "name", None)


ModelConfig = Annotated[
    Annotated[CnnConfig, Tag("cnn")] | Annotated[MlpConfig, Tag("mlp")], Discriminator(name)
]
