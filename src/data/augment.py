"""Random augmentation of a whole batch at once, with a draw per image."""

import math

import torch
from torch import Tensor

from src.config.sections import AugmentConfig
from src.data.warp import warp


def augment(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Each image of float [B, C, H, W] rotated, scaled and shifted by its own amounts.

    Amounts are uniform between minus and plus the limits in `config`. Uncovered pixels are 0, the
    background. `generator` is on the images' device.
    """
    if config.shift == config.rotation == config.scale == 0:
        return images

    def uniform(limit: float) -> Tensor:
        draws = torch.rand(len(images), generator=generator, device=images.device)
        return (2 * draws - 1) * limit

    angle = uniform(math.radians(config.rotation))
    size = 1 + uniform(config.scale)
    return warp(images, angle, size, across=uniform(config.shift), down=uniform(config.shift))
