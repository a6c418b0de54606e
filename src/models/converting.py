"""From torch to ONNX: the same module gives the same graph."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from onnx import ModelProto


def converted(
    module: nn.Module, examples: dict[str, Tensor], outputs: Sequence[str]
) -> "ModelProto":
    """The module as a graph for any number of images.

    examples: of its inputs by name, [2, ...] each: a size of 1 would be taken for a constant;
    outputs: their names.
    """
    images = torch.export.Dim("images")
    with quietly():
        program = torch.onnx.export(
            module.to(memory_format=torch.contiguous_format),
            (*examples.values(),),
            input_names=[*examples],
            output_names=[*outputs],
            dynamic_shapes={name: {0: images} for name in examples},
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


def joined(first: bytes, second: "ModelProto") -> "ModelProto":
    """Both graphs as one: the second takes what the first takes and makes, by name."""
    import onnx
    from onnx.compose import add_prefix

    both = onnx.load_from_string(first)
    rest = add_prefix(second, "after/", rename_inputs=False, rename_outputs=False)
    for part in ("node", "initializer", "value_info", "output"):
        getattr(both.graph, part).extend(getattr(rest.graph, part))
    for domain in rest.opset_import:
        if domain not in both.opset_import:
            both.opset_import.append(domain)
    return both


@contextmanager
def quietly() -> Iterator[None]:
    """Without what the exporter says about its own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
