"""A model as it is used: pixels in; logits, calibrated probabilities and a distance out."""

import hashlib
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
from src.inference.usage import Usage
from src.models.checkpoint import from_bytes

SIDE = 14  # pixels at most, to which images are averaged before they are compared
MOST = 5_000  # images of each set that say what is typical
SHRUNK = 0.05  # share of the mean variance that is added in every direction
EMPTY = 1e9  # the distance of an image without anything in it; JSON knows no infinity
USUAL = 0.97  # share of validation images that are to be called like the training images


class Typical(NamedTuple):
    """What training images look like, as one normal distribution of their averaged pixels.

    mean: [D]; whitening: [D, D], by which differences from it are multiplied, so that their squared
    length is the squared Mahalanobis distance. No class and no network plays a part: on MNIST the
    distance tells clothes from digits better than logits or features do, and as well for any model.
    """

    mean: Tensor
    whitening: Tensor

    @classmethod
    def of(cls, sets: Sequence[Tensor]) -> Self:
        """Of sets of images, uint8 [N, C, H, W], on the CPU."""
        rows = torch.cat([averaged(images[:MOST]) for images in sets]).double()
        centred = rows - (mean := rows.mean(0))
        covariance = centred.T @ centred / len(rows)
        floor = SHRUNK * covariance.diagonal().mean() + 1e-8  # images may all be the same
        precision = torch.linalg.inv(covariance + floor * torch.eye(len(mean)))
        return cls(mean.float(), torch.linalg.cholesky(precision).float())

    def distances(self, images: Tensor) -> Tensor:
        """Of images uint8 [N, C, H, W], float [N]: about 1 in training, EMPTY if of one tone."""
        rows = averaged(images)
        distances = ((rows - self.mean) @ self.whitening).square().mean(1).sqrt()
        # An image of one tone would be near the mean of digits, which are mostly ground.
        return torch.where(rows.amax(1) == rows.amin(1), EMPTY, distances)

    def furthest(self, images: Tensor) -> float:
        """The distance within which nearly all of these validation images are."""
        return self.distances(images).double().quantile(USUAL).item()


def averaged(images: Tensor) -> Tensor:
    """Pixels from 0 to 1, averaged over squares, so that no side is above SIDE, [N, D].

    Pixels below and to the right that fill no square are left out.
    """
    cell = math.ceil(max(images.shape[2:]) / SIDE)
    cell = min(cell, *images.shape[2:])
    return F.avg_pool2d(images.float() / 255, cell).flatten(1)


class Served(nn.Module):
    """What is exported: the network with all that belongs to its use."""

    mean: Tensor
    whitening: Tensor

    def __init__(self, model: nn.Module, usage: Usage, typical: Typical | None) -> None:
        super().__init__()
        self.model, self.usage = model, usage
        self._is_compared = typical is not None
        for name, values in (typical or Typical(torch.zeros(0), torch.zeros(0)))._asdict().items():
            self.register_buffer(name, values)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From uint8 [N, C, H, W]: logits and probabilities [N, classes], distances [N].

        Distances are 0 for a model that evaluate has not seen.
        """
        logits = self.model(pixels.float())
        probabilities = (logits / (self.usage.temperature or 1.0)).softmax(1)
        if not self._is_compared:
            return logits, probabilities, torch.zeros_like(logits[:, 0])
        return logits, probabilities, Typical(self.mean, self.whitening).distances(pixels)


def to_file(found: Mapping[str, tuple[Usage, Typical]]) -> bytes:
    """The content of `paths.USAGE`, by the model's name; equal findings give equal bytes."""
    tensors = {
        f"{name}.{part}": tensor
        for name, (_, typical) in found.items()
        for part, tensor in typical._asdict().items()
    }
    return pack(tensors, {name: usage.as_tree() for name, (usage, _) in found.items()})


def load_served(path: Path) -> Served:
    """The model of a file, on the CPU, with what evaluate found out about it, if it has seen it.

    Raises UserError if the file is missing or not a model.
    """
    content = read_bytes(path)
    model = hashlib.sha256(content).hexdigest()
    checkpoint = from_bytes(content, torch.device("cpu"), str(path))
    usage, typical = _evaluated(model)
    usage = usage or Usage(model, checkpoint.classes, checkpoint.image_shape)
    return Served(checkpoint.model, usage, typical).eval()


def _evaluated(model: str) -> tuple[Usage | None, Typical | None]:
    if not paths.USAGE.exists():
        return None, None
    tensors, about = read_tensors(paths.USAGE)
    try:
        for name, tree in about.items():
            if tree["model"] == model:
                parts = (tensors[f"{name}.{part}"] for part in Typical._fields)
                return Usage.from_tree(tree), Typical(*parts)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{paths.USAGE}: damaged; delete it, then `dvc repro`") from error
    return None, None
