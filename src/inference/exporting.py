"""A model as one ONNX file with everything that its use takes, equal to the model in torch."""

import json
import logging
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

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
from src.inference.usage import Usage

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


def _converted(served: Served) -> "ModelProto":
    """The graph, for any number of images. The same model gives the same bytes."""
    channels, height, width = served.usage.image_shape
    # Two: a size of 1 would be taken for a constant.
    example = torch.zeros(2, channels, height, width, dtype=torch.uint8)
    with _quietly():
        program = torch.onnx.export(
            served.to(memory_format=torch.contiguous_format),
            (example,),
            input_names=["pixels"],
            output_names=["logits", "probabilities", "distances"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    # Where in which file each operation was written is of no use, and names this machine's folders.
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output, proto.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.initializer):
        del value.metadata_props[:]
    return proto


def _with(proto: "ModelProto", about: dict[str, str]) -> bytes:
    from onnx.helper import set_model_props

    set_model_props(proto, {**about, DIGEST: UNSEALED.decode()})
    return sealed(proto.SerializeToString(deterministic=True))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says about its own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
