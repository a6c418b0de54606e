"""8-bit models, by ONNX Runtime."""

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
    """The model with 8-bit weights, each output channel on its own scale, and 8-bit activations.

    data: training images, on which the ranges of activations are measured; labels are not used.
    Products are computed in whole numbers, and their sums have 32 bits. Source: Jacob et al., 2018.
    """
    # Imported here: it takes a second, and few processes need it.
    from onnxruntime.quantization import QuantType, quantize_static

    network = _FromBytes(copy.deepcopy(checkpoint.network).cpu()).eval()
    example = torch.zeros(2, *checkpoint.image_shape, dtype=torch.uint8)
    graph = converted(network, {"pixels": example}, ["logits"])
    with TemporaryDirectory() as folder, quietly():
        float32, int8 = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        float32.write_bytes(graph.SerializeToString(deterministic=True))
        quantize_static(
            float32,
            int8,
            _Reader(data),
            per_channel=True,
            # Weights up to 64: on x86 CPUs without VNNI, two products of 8 bits may not fit in 16.
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        return replace(checkpoint, model=Graph.of(int8.read_bytes()), format="int8")


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
