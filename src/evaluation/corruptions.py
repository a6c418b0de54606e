"""Test images corrupted in six ways, each with five severities."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from src.core.runtime import generator
from src.data.imageset import ImageSet
from src.data.warp import warp

BATCH = 500  # bounds the memory, of which blurring takes the most

SEVERITIES = (1, 2, 3, 4, 5)

# Images float [N, C, H, W] from 0 to 255, a severity, and a generator. Lengths are shares of the
# smaller side, so that they mean the same in images of any size.
Corruption = Callable[[Tensor, int, torch.Generator], Tensor]


def _shift(images: Tensor, severity: int, draw: torch.Generator) -> Tensor:
    """In a random direction by 4 % of the side per severity."""
    angle = 2 * math.pi * _random(images, draw)
    pixels = 0.04 * severity * _side(images)
    still = torch.zeros_like(angle)
    return warp(images, still, still + 1, across=pixels * angle.cos(), down=pixels * angle.sin())


def _rotation(images: Tensor, severity: int, draw: torch.Generator) -> Tensor:
    """In either direction by 10 degrees per severity."""
    angle = math.radians(10 * severity) * (2 * (_random(images, draw) < 0.5).float() - 1)
    still = torch.zeros_like(angle)
    return warp(images, angle, still + 1, across=still, down=still)


def _noise(images: Tensor, severity: int, draw: torch.Generator) -> Tensor:
    """Gaussian, with a standard deviation of 8 % of the scale per severity."""
    noise = torch.randn(images.shape, generator=draw).to(images.device)
    return images + 0.08 * severity * 255 * noise


def _blur(images: Tensor, severity: int, _draw: torch.Generator) -> Tensor:
    """Gaussian, with a standard deviation of 1.8 % of the side per severity."""
    sigma = 0.018 * severity * _side(images)
    radius = math.ceil(3 * sigma)
    place = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-(place**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    rows = images.flatten(0, 1)[:, None]
    rows = F.conv2d(F.pad(rows, (radius, radius, 0, 0)), kernel.view(1, 1, 1, -1))
    rows = F.conv2d(F.pad(rows, (0, 0, radius, radius)), kernel.view(1, 1, -1, 1))
    return rows.view(images.shape)


def _contrast(images: Tensor, severity: int, _draw: torch.Generator) -> Tensor:
    """Every pixel moved towards the image's mean, by 17 % of the difference per severity."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 - 0.17 * severity)


def _occlusion(images: Tensor, severity: int, draw: torch.Generator) -> Tensor:
    """A black square at a random place, its side 9 % of the image's per severity."""
    height, width = images.shape[2:]
    side = max(1, round(0.09 * severity * _side(images)))
    top = (_random(images, draw) * (height - side + 1)).long().view(-1, 1, 1, 1)
    left = (_random(images, draw) * (width - side + 1)).long().view(-1, 1, 1, 1)
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    hidden = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return images.masked_fill(hidden, 0)


CORRUPTIONS: dict[str, Corruption] = {
    "shift": _shift,
    "rotation": _rotation,
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "occlusion": _occlusion,
}


def corrupt(data: ImageSet, kind: str, severity: int, seed: int) -> ImageSet:
    """The images, corrupted, uint8 as before; equal arguments give equal images.

    All severities of one kind share their random draws, so that only the severity differs.
    """
    draw = generator(seed, f"corruption/{kind}")
    corrupted = [
        CORRUPTIONS[kind](images.float(), severity, draw).round().clamp(0, 255).byte()
        for images in data.images.split(BATCH)
    ]
    return replace(data, images=torch.cat(corrupted))


def _side(images: Tensor) -> int:
    return min(images.shape[2:])


def _random(images: Tensor, draw: torch.Generator) -> Tensor:
    """One number for each image, from 0 to below 1."""
    return torch.rand(len(images), generator=draw).to(images.device)
