"""A model that is an ONNX graph, as torch runs it: what an 8-bit model is."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Graph(nn.Module):
    """Pixels, [B, C, H, W] on the scale 0 to 255, to logits, [B, classes]; on the CPU.

    Its only tensor is the graph itself, uint8 [bytes], which takes `pixels` as uint8. It cannot be
    trained.
    """

    graph: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("graph", torch.zeros(size, dtype=torch.uint8))
        self._session: Any = None

    @classmethod
    def of(cls, content: bytes) -> "Graph":
        made = cls(len(content))
        made.graph.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Copies begin without the session, which cannot be copied."""
        return {**self.__dict__, "_session": None}

    @property
    def content(self) -> bytes:
        return self.graph.cpu().numpy().tobytes()

    def forward(self, pixels: Tensor) -> Tensor:
        if self._session is None:
            # Imported here: few models need it.
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            self._session = onnxruntime.InferenceSession(
                self.content, options, providers=["CPUExecutionProvider"]
            )
        given = np.ascontiguousarray(pixels.round().to("cpu", torch.uint8).numpy())
        (logits,) = self._session.run(["logits"], {"pixels": given})
        return torch.from_numpy(logits).to(pixels.device)
