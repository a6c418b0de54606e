"""Pruned networks are smaller, and compute what the larger one would without those units."""

import pytest
import torch
from torch import Tensor

from src.compress.sensitivity import sensitivity
from src.config.networks import MlpConfig, ModelConfig
from src.core.errors import UserError
from src.core.runtime import generator
from src.data.imageset import TrainVal
from src.data.splits import Splits
from src.models.build import build_model
from src.models.checkpoint import Checkpoint
from src.models.cost import multiply_adds, weight_layers
from src.models.pruning import importances, least_costly, prune, without
from src.models.scoring import as_pixels, predict
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

MLP = MlpConfig(
    name="mlp",
    normalisation="dataset",
    hidden=(20, 10),
    activation="prelu",
    dropout=0.0,
    initialisation="fan_in",
)
CNN = shrunk().model
BARE = CNN.model_copy(update={"batch_norm": False, "hidden": (), "activation": "tanh"})
STRIDED = CNN.model_copy(
    update={"strides": (2, 1), "padding": "valid", "pool": "average", "activation": "prelu"}
)


def fresh(few: Splits, config: ModelConfig) -> Checkpoint:
    """A network in which nothing is as it was initialised."""
    train = few.train
    model = build_model(config, train.image_shape, 10, train.mean, train.std, generator(3, "w"))
    with torch.no_grad():
        for weights in [*model.parameters(), *model.buffers()]:
            if weights.is_floating_point() and weights.dim() == 1:
                weights += torch.rand(weights.shape, generator=generator(4, "w"))
    return Checkpoint(model.eval(), config, train.image_shape, train.classes)


@pytest.mark.parametrize("config", [CNN, BARE, STRIDED, MLP], ids=["cnn", "bare", "strided", "mlp"])
def test_what_remains_computes_as_the_whole_would_without_the_others(
    few: Splits, config: ModelConfig
) -> None:
    whole = fresh(few, config)
    widths = [layer.weight.shape[0] for layer in weight_layers(whole.model)[:-1]]
    kept = [torch.arange(0, width, 2) for width in widths]
    smaller = without(whole, kept)
    assert sum(w.numel() for w in smaller.model.parameters()) < sum(
        w.numel() for w in whole.model.parameters()
    )
    for layer, units in zip(whole.network.body, kept, strict=True):
        layer.register_forward_hook(lambda _layer, _inputs, made, units=units: masked(made, units))
    expected = whole.model(as_pixels(few.test.images))
    assert torch.allclose(predict(smaller.model, few.test), expected, atol=1e-5)


def masked(made: Tensor, units: Tensor) -> Tensor:
    """With zeros for all other units."""
    mask = torch.zeros(made.shape[1])
    mask[units] = 1.0
    return made * mask.view(1, -1, *[1] * (made.dim() - 2))


def test_a_unit_that_does_nothing_matters_least(few: Splits) -> None:
    whole = fresh(few, BARE)
    first, *_ = weight_layers(whole.model)
    with torch.no_grad():
        first.weight[2] = 0.0
        assert first.bias is not None
        first.bias[2] = 0.0
    importance = importances(whole.network, few.train)
    assert [len(each) for each in importance] == [
        layer.weight.shape[0] for layer in weight_layers(whole.model)[:-1]
    ]
    assert importance[0][2] == 0.0 < importance[0].max()


def test_a_pruned_network_has_the_share_of_multiply_adds_and_its_best_units(few: Splits) -> None:
    params = shrunk(train__epochs=4, model__channels=[8, 16])
    whole = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
    smaller = prune(whole, few.train, 0.5)
    shape = whole.image_shape
    share = sum(multiply_adds(smaller.network, shape)) / sum(multiply_adds(whole.network, shape))
    assert 0.4 < share <= 0.5
    assert type(smaller.model) is type(whole.model)
    assert smaller.config != whole.config

    def right(checkpoint: Checkpoint) -> int:
        return int((predict(checkpoint.model, few.val).argmax(1) == few.val.labels).sum())

    importance = importances(whole.network, few.train)
    kept = least_costly(importance, multiply_adds(whole.network, shape), 10, 1, 0.5)
    worst = [
        each.argsort()[: len(units)].sort().values
        for each, units in zip(importance, kept, strict=True)
    ]
    assert right(smaller) > right(without(whole, worst)) + 10


def test_units_go_in_order_of_importance_for_what_they_save() -> None:
    """Two layers of three units. At first one of the second layer saves 7, one of the first 4."""
    importance = [torch.tensor([1.0, 3.0, 2.0]), torch.tensor([9.0, 8.0, 2.9])]
    kept = least_costly(importance, [3, 9, 12], 4, 1, 0.6)
    assert [each.tolist() for each in kept] == [[1, 2], [0, 1]]


def test_more_than_all_but_one_unit_cannot_go(few: Splits) -> None:
    with pytest.raises(UserError, match=r"multiply_adds: should be at least 0\.\d+, not 0.0001"):
        prune(fresh(few, CNN), few.train, 0.0001)


def test_a_network_without_units_cannot_be_pruned(few: Splits) -> None:
    bare = fresh(few, MLP.model_copy(update={"hidden": ()}))
    with pytest.raises(UserError, match="no channels and no hidden units that could be removed"):
        prune(bare, few.train, 0.5)
    assert not sensitivity(bare, TrainVal(few.train, few.val)).tables


def test_multiply_adds_are_those_of_the_layers(few: Splits) -> None:
    config = CNN.model_copy(update={"channels": (4, 6), "kernel_sizes": (3, 5), "hidden": (7,)})
    train = few.train
    model = build_model(config, train.image_shape, 10, train.mean, train.std, generator(0, "w"))
    found = multiply_adds(model, train.image_shape)
    assert found == [28 * 28 * 4 * 9, 14 * 14 * 6 * 4 * 25, 7 * 7 * 6 * 7, 7 * 10]
