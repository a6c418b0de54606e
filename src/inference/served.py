"""A model as it is used: pixels in; logits, calibrated probabilities and a distance out."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.core import paths
from src.core.errors import UserError
from src.core.tensorfile import pack, read_bytes, read_tensors
from src.inference.layout import spread
from src.inference.usage import Usage, evaluated, sha256
from src.models.checkpoint import from_bytes
from src.models.scoring import as_pixels

SIDE = 14  # pixels at most, to which images are averaged before they are compared
MOST = 5_000  # images of each set that say what is typical
SHRINKAGE = 0.05  # share of the mean variance that is added in every direction
EMPTY = 1e9  # the distance of an image with next to nothing on it; JSON knows no infinity
QUANTILE = 0.97  # share of validation images that are to be called like the training images


class Typical(NamedTuple):
    """What training images look like, as one normal distribution of their averaged pixels.

    mean: [D]; whitening: [D, D], by which differences from it are multiplied, so that their squared
    length is the squared Mahalanobis distance; contrast: [], half of the least that an image has
    between its lightest and its darkest average. No class and no network plays a part: on MNIST the
    distance tells clothes from digits better than logits or features do, and as well for any model.
    """

    mean: Tensor
    whitening: Tensor
    contrast: Tensor

    @classmethod
    def of(cls, sets: Sequence[Tensor]) -> Self:
        """Of sets of images, uint8 [N, C, H, W], on the CPU."""
        rows = torch.cat([averaged(each[spread(len(each), MOST)]) for each in sets]).double()
        centred = rows - (mean := rows.mean(0))
        covariance = centred.T @ centred / len(rows)
        floor = SHRINKAGE * covariance.diagonal().mean() + 1e-8  # images may all be the same
        precision = torch.linalg.inv(covariance + floor * torch.eye(len(mean)))
        least = _contrasts(rows).min() / 2
        return cls(mean.float(), torch.linalg.cholesky(precision).float(), least.float())

    def distances(self, images: Tensor) -> Tensor:
        """Of images uint8 [N, C, H, W], float [N]: below 1 for most training images."""
        rows = averaged(images)
        distances = ((rows - self.mean) @ self.whitening).square().mean(1).sqrt()
        # An empty image would be near the mean of digits, which are mostly background.
        return torch.where(_contrasts(rows) < self.contrast, EMPTY, distances)

    def furthest(self, images: Tensor) -> float:
        """The distance within which nearly all of these validation images are."""
        return self.distances(images).double().quantile(QUANTILE).item()


def averaged(images: Tensor) -> Tensor:
    """Pixels from 0 to 1, averaged over squares, so that no side is above SIDE, [N, D].

    Pixels below and to the right that fill no square are left out.
    """
    cell = math.ceil(max(images.shape[2:]) / SIDE)
    cell = min(cell, *images.shape[2:])
    return F.avg_pool2d(images.float() / 255, cell).flatten(1)


def _contrasts(rows: Tensor) -> Tensor:
    return rows.amax(1) - rows.amin(1)


class Served(nn.Module):
    """What is exported: the network with all that belongs to its use."""

    mean: Tensor
    whitening: Tensor
    contrast: Tensor

    def __init__(self, model: nn.Module, usage: Usage, typical: Typical | None) -> None:
        super().__init__()
        self.model, self.usage = model, usage
        self._is_compared = typical is not None
        for name, values in typical._asdict().items() if typical else ():
            self.register_buffer(name, values)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From uint8 [N, C, H, W]: logits and probabilities [N, classes], distances [N].

        Distances are 0 for a model that has not been evaluated.
        """
        logits = self.model(as_pixels(pixels))
        return logits, *self.beside(pixels, logits)

    def beside(self, pixels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities and the distances."""
        probabilities = (logits / (self.usage.temperature or 1.0)).softmax(1)
        if not self._is_compared:
            return probabilities, torch.zeros_like(logits[:, 0])
        typical = Typical(self.mean, self.whitening, self.contrast)
        return probabilities, typical.distances(pixels)


def to_file(found: Mapping[str, Typical]) -> bytes:
    """The content of `paths.TYPICAL`, by the model's name; equal findings give equal bytes."""
    tensors = {
        f"{name}.{part}": tensor
        for name, typical in found.items()
        for part, tensor in typical._asdict().items()
    }
    return pack(tensors, {})


def load_served(path: Path) -> Served:
    """The model of a file, on the CPU, with what evaluate found out about it, if it did.

    Raises UserError if the file is missing or not a model.
    """
    content = read_bytes(path)
    checkpoint = from_bytes(content, torch.device("cpu"), str(path))
    weights = sha256(content)
    name, usage = evaluated(weights)
    typical = _typical(name) if name else None
    usage = usage or Usage(weights, checkpoint.classes, checkpoint.image_shape)
    return Served(checkpoint.model, usage, typical).eval()


def _typical(name: str) -> Typical:
    tensors, _ = read_tensors(paths.TYPICAL)
    try:
        return Typical(*(tensors[f"{name}.{part}"] for part in Typical._fields))
    except KeyError as error:
        raise UserError(f"{paths.TYPICAL}: damaged; delete it, then `dvc repro`") from error
