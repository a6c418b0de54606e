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

    limits = (math.radians(config.rotation), config.scale, config.shift, config.shift)
    draws = 2 * torch.rand(4, len(images), generator=generator, device=images.device) - 1
    angle, growth, across, down = (draw * limit for draw, limit in zip(draws, limits, strict=True))
    return warp(images, angle, 1 + growth, across, down)
