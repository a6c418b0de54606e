"""Rotate, scale and shift images, a whole batch at once."""

import torch
from torch import Tensor
from torch.nn import functional as F


def warp(images: Tensor, angle: Tensor, size: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Each image of float [B, C, H, W] by its own amounts, [B] each, bilinearly.

    angle: radians; size: factor; across, down: pixels. Uncovered pixels are 0, the background.
    """
    height, width = images.shape[2:]
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
    # For colour, grid_sample returns another memory format than the network expects.
    return moved.contiguous(memory_format=torch.channels_last)
