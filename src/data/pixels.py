"""Statistics of pixels, from exact counts: the same on every machine and any number of threads."""

import torch
from torch import Tensor


def histogram(images: Tensor) -> Tensor:
    """How often each value occurs, int64 [C, 256], in images uint8 [N, C, H, W]."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for part in images.split(1000):  # each channel is copied
        channels = part.transpose(0, 1).flatten(1)
        counts += torch.stack([channel.bincount(minlength=256) for channel in channels])
    return counts


def mean_and_std(counts: Tensor) -> tuple[float, float]:
    """Of the values counted in [256], on the scale 0 to 255."""
    total = counts.sum().item()
    mean = sum(value * count for value, count in enumerate(counts.tolist())) / total
    square = sum(value * value * count for value, count in enumerate(counts.tolist())) / total
    return mean, (square - mean**2) ** 0.5
