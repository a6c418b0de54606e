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
    from_x = [cos, sin * aspect, across * (2 / width)]
    from_y = [-sin / aspect, cos, down * (2 / height)]
    # One product for the whole batch. F.affine_grid has one per image: most of the time of a warp.
    maps = torch.stack(from_x + from_y, dim=1).view(-1, 3)
    grid = (maps @ _places(height, width, images.device)).view(-1, 2, height, width)
    moved = F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)
    # For colour, grid_sample returns another memory format than the network expects.
    return moved.contiguous(memory_format=torch.channels_last)


def _places(height: int, width: int, device: torch.device) -> Tensor:
    """x, y and 1 for the middle of each pixel, [3, H * W], from -1 to 1 over the image."""
    across, down = (
        torch.linspace(1 / side - 1, 1 - 1 / side, side, device=device) for side in (width, height)
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
