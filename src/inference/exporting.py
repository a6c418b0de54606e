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
from src.inference.engines import USAGE, Engine, Onnx, Torch
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

    images: test images that both read; largest: difference between two logits; other_labels: images
    that they read differently.
    """

    images: int
    largest: float
    other_labels: int

    @classmethod
    def of(cls, export: Engine, model: Engine, images: np.ndarray) -> Self:
        """images: uint8 [N, C, H, W]."""
        found, wanted = export.run(images).logits, model.run(images).logits
        other = int((found.argmax(1) != wanted.argmax(1)).sum())
        return cls(len(images), float(np.abs(found - wanted).max()), other)

    @property
    def passed(self) -> bool:
        return self.largest < CLOSE and not self.other_labels

    def __str__(self) -> str:
        labels = f"{self.other_labels} other labels" if self.other_labels else "equal labels"
        return (
            f"largest difference between logits {self.largest:.1e}, {labels} on {self.images:,} "
            "test images"
        )


def export(weights: Path, to: Path) -> Parity:
    """Write a model of a stage as an ONNX file, which then says that it has passed parity.

    Raises UserError, and writes nothing, if it has not, or if there are no test images.
    """
    model = Torch(weights)
    images = test_images(model.usage, weights).images.numpy()
    converted = _converted(model.served)
    about = {USAGE: json.dumps(model.usage.as_tree())}
    parity = Parity.of(Onnx(_with(converted, about), str(to)), model, images)
    if not parity.passed:
        raise UserError(f"{weights}: cannot be exported, the file would not equal it: {parity}")
    write_bytes(_with(converted, about | {PARITY: json.dumps(asdict(parity))}), to)
    return parity


def test_images(usage: Usage, weights: Path) -> ImageSet:
    """Those of the data that the model is for; UserError if none are of its size and classes."""
    homes = [usage.home] if usage.home else ["source", "target"]
    for home in homes:
        found = load_images(paths.IMAGE_SETS[f"{home}.test"])
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

    set_model_props(proto, about)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


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
