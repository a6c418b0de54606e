"""8-bit models: they answer as the original, and are kept as any other model."""

import copy

import onnx
import pytest
import torch
from onnx import numpy_helper

from src.core.errors import UserError
from src.data.splits import Splits
from src.models.checkpoint import Checkpoint, from_bytes, to_bytes
from src.models.graph import Graph
from src.models.quantising import quantise
from src.models.scoring import predict
from tests.in_use import trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def wide(few: Splits) -> Checkpoint:
    return trained(few)


@pytest.fixture(scope="module")
def narrow(wide: Checkpoint, few: Splits) -> Checkpoint:
    return quantise(wide, few.train)


def test_it_answers_nearly_as_the_original(
    wide: Checkpoint, narrow: Checkpoint, few: Splits
) -> None:
    before, after = (predict(each.model, few.test) for each in (wide, narrow))
    assert (before.argmax(1) == after.argmax(1)).sum() >= 95
    assert 0 < (before - after).abs().max() < 0.1 * before.abs().max()
    assert (narrow.config, narrow.classes, narrow.format) == (wide.config, wide.classes, "int8")


def test_each_weight_has_8_bits_and_each_channel_its_scale(narrow: Checkpoint) -> None:
    assert isinstance(narrow.model, Graph)
    graph = onnx.load_from_string(narrow.model.content).graph
    found = {each.name: each for each in graph.initializer}
    weights = [name for name in found if name.endswith("weight_quantized")]
    assert len(weights) == 4
    for name in weights:
        assert found[name].data_type == onnx.TensorProto.INT8
        assert 32 < numpy_helper.to_array(found[name]).astype(int).max() <= 64
        assert [*found[name.replace("quantized", "scale")].dims] == [found[name].dims[0]]
    whole = sum(len(each.raw_data) for each in graph.initializer)
    assert len(to_bytes(narrow)) < 1.5 * whole + 10_000


def test_it_is_the_same_each_time_and_comes_back_from_its_file(
    wide: Checkpoint, narrow: Checkpoint, few: Splits
) -> None:
    content = to_bytes(narrow)
    assert to_bytes(quantise(wide, few.train)) == content
    loaded = from_bytes(content, CPU)
    assert to_bytes(loaded) == content
    assert predict(loaded.model, few.test).equal(predict(narrow.model, few.test))
    assert to_bytes(copy.deepcopy(loaded)) == content  # after it has been used


def test_it_cannot_be_trained_further(narrow: Checkpoint) -> None:
    with pytest.raises(UserError, match="a model of format int8 cannot be trained further"):
        _ = narrow.network
