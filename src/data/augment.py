"""Random augmentation of a whole batch at once, drawn for each image."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from src.config.train import AugmentConfig


def augment(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Each image of float [B, C, H, W] turned, scaled and shifted by amounts of its own.

    Amounts are uniform between minus and plus the limits in `config`. What comes into view is 0,
    the background. `generator` is on the images' device.
    """
    if config.shift == config.rotation == config.scale == 0:
        return images
    batch, _, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        draws = torch.rand(batch, generator=generator, device=images.device)
        return (2 * draws - 1) * limit

    angle = uniform(math.radians(config.rotation))
    size = 1 + uniform(config.scale)
    across, down = uniform(config.shift), uniform(config.shift)
    # grid_sample wants where each output pixel comes from (hence the inverse: divided by the size),
    # in coordinates that span 2 over the image's width or height whatever its pixels.
    cos, sin = angle.cos() / size, angle.sin() / size
    aspect = height / width
    from_x = torch.stack([cos, sin * aspect, across * 2 / width], dim=1)
    from_y = torch.stack([-sin / aspect, cos, down * 2 / height], dim=1)
    grid = F.affine_grid(
        torch.stack([from_x, from_y], dim=1), list(images.shape), align_corners=False
    )
    moved = F.grid_sample(images, grid, align_corners=False)
    # For colour, grid_sample gives another memory format than the one the network takes.
    return moved.contiguous(memory_format=torch.channels_last)
