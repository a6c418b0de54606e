"""Networks of 8 bits, by ONNX Runtime."""

import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from src.data.imageset import ImageSet
from src.models.checkpoint import Checkpoint
from src.models.converting import converted, quietly
from src.models.graph import Graph
from src.models.network import Network
from src.models.scoring import as_pixels

IMAGES, BATCH = 1000, 100  # training images on which ranges are measured, at most; and at a time


def quantise(checkpoint: Checkpoint, data: ImageSet) -> Checkpoint:
    """The model with weights of 8 bits, each output channel on its own scale, and activations of 8.

    data: training images, on which the ranges of activations are measured. What multiplies is
    computed in whole numbers, whose sums have 32 bits. Source: Jacob et al., 2018.
    """
    # Imported here: it takes a second, and few processes need it.
    from onnxruntime.quantization import QuantType, quantize_static

    network = _FromBytes(copy.deepcopy(checkpoint.network).cpu()).eval()
    example = torch.zeros(2, *checkpoint.image_shape, dtype=torch.uint8)
    graph = converted(network, {"pixels": example}, ["logits"])
    with TemporaryDirectory() as folder, quietly():
        wide, narrow = Path(folder, "wide.onnx"), Path(folder, "narrow.onnx")
        wide.write_bytes(graph.SerializeToString(deterministic=True))
        quantize_static(
            wide,
            narrow,
            _Reader(data),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        return replace(checkpoint, model=Graph.of(narrow.read_bytes()), format="int8")


class _FromBytes(nn.Module):
    """A network that takes pixels as uint8."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(as_pixels(pixels))
        return logits


class _Reader:
    """Images, evenly spread over the data, as ONNX Runtime asks for them."""

    def __init__(self, data: ImageSet) -> None:
        places = torch.linspace(0, len(data) - 1, min(IMAGES, len(data))).long()
        self._left = [*data.images[places.to(data.labels.device)].cpu().split(BATCH)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return {"pixels": self._left.pop(0).numpy()} if self._left else None
