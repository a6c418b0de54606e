"""A model as one ONNX file with everything that its use takes, equal to the model in torch."""

import copy
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from src.core import paths
from src.core.errors import UserError
from src.core.files import write_bytes
from src.data.imageset import ImageSet, load_images
from src.inference.engines import (
    DIGEST,
    UNSEALED,
    USAGE,
    Engine,
    Onnx,
    Outputs,
    Torch,
    sealed,
)
from src.inference.served import Served
from src.inference.usage import Usage, sha256
from src.models.checkpoint import Checkpoint, to_bytes
from src.models.converting import converted, joined
from src.models.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto

CLOSE = 1e-4  # below it are all differences between logits
PARITY = "parity"  # of the metadata
RUNS = 30  # whose median is the latency


@dataclass(frozen=True)
class Parity:
    """How an exported file differs from its model in torch.

    images: test images that both read; largest: difference between two logits; elsewhere: between
    two probabilities or distances; other_labels: images that they read differently.
    """

    images: int
    largest: float
    elsewhere: float
    other_labels: int

    @classmethod
    def of(cls, export: Outputs, model: Outputs) -> Self:
        differences = [np.abs(one - other) for one, other in zip(export, model, strict=True)]
        largest, *elsewhere = (float(each.max()) for each in differences)
        other = int((export.logits.argmax(1) != model.logits.argmax(1)).sum())
        return cls(len(model.logits), largest, float(np.max(elsewhere)), other)

    @property
    def passed(self) -> bool:
        # Not so for a difference that is no number.
        return self.largest < CLOSE and self.elsewhere < CLOSE and not self.other_labels

    def __str__(self) -> str:
        labels = f"{self.other_labels} other labels" if self.other_labels else "equal labels"
        return (
            f"largest difference between logits {self.largest:.1e}, between probabilities or "
            f"distances {self.elsewhere:.1e}, {labels} on {self.images:,} test images"
        )


@dataclass(frozen=True)
class Export:
    """An exported file that has just been written, and the test images (uint8 [N, C, H, W]) on
    which it has been compared with its model."""

    engine: Onnx
    parity: Parity
    images: np.ndarray


def export(weights: Path, to: Path) -> Export:
    """Write a model of a stage as an ONNX file, which then says that it has passed parity.

    Raises UserError, and writes nothing, if it has not, or if there are no test images.
    """
    model = Torch(weights)
    images = test_images(model.usage, weights).images.numpy()
    converted = _converted(model.served)
    about = {USAGE: json.dumps(model.usage.as_tree())}
    engine = Onnx(_with(converted, about), str(to))
    parity = Parity.of(engine.run(images), model.run(images))
    if not parity.passed:
        raise UserError(f"{weights}: cannot be exported, the file would not equal it: {parity}")
    write_bytes(_with(converted, about | {PARITY: json.dumps(asdict(parity))}), to)
    return Export(engine, parity, images)


def as_exported(checkpoint: Checkpoint, threads: int) -> tuple[Onnx, int]:
    """A model as its exported file would run it, on so many threads, and the bytes of that file.

    It is one of a model that has not been evaluated: without what tells unfamiliar images, which
    has the same size for all models of such images.
    """
    weights = sha256(to_bytes(checkpoint))
    usage = Usage(weights, checkpoint.classes, checkpoint.image_shape)
    model = _converted(Served(copy.deepcopy(checkpoint.model), usage, None).eval())
    content = _with(model, {USAGE: json.dumps(usage.as_tree())})
    return Onnx(content, "a model", threads), len(content)


def test_images(usage: Usage, weights: Path) -> ImageSet:
    """Those of the data that the model is for; UserError if none are of its size and classes."""
    for name, path in paths.IMAGE_SETS.items():
        role, split = name.split(".")
        if split == "test" and usage.home in (role, None):
            found = load_images(path)
            if (found.image_shape, found.classes) == (usage.image_shape, usage.classes):
                return found
    raise UserError(
        f"{weights}: no test images of its size and classes; `dvc repro` with its parameters makes "
        "them"
    )


def latency(engine: Engine, images: np.ndarray) -> float:
    """Seconds that the engine takes for these images, the median of several runs."""
    taken = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        engine.run(images)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


class _Beside(nn.Module):
    """What `Served` adds to the logits of its model."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self.served = served

    def forward(self, pixels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        return self.served.beside(pixels, logits)


def _converted(served: Served) -> "ModelProto":
    usage, model = served.usage, served.model
    pixels = torch.zeros(2, *usage.image_shape, dtype=torch.uint8)
    if not isinstance(model, Graph):
        return converted(served, {"pixels": pixels}, Outputs._fields)
    logits = torch.zeros(2, len(usage.classes))
    after = {"pixels": pixels, "logits": logits}
    return joined(model.content, converted(_Beside(served), after, Outputs._fields[1:]))


def _with(proto: "ModelProto", about: dict[str, str]) -> bytes:
    from onnx.helper import set_model_props

    set_model_props(proto, {**about, DIGEST: UNSEALED.decode()})
    return sealed(proto.SerializeToString(deterministic=True))
