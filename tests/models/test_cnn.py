from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.core.errors import UserError
from src.core.runtime import generator
from src.models.build import build_model, replace_head
from src.models.cnn import CNN
from tests.conftest import shrunk


def build(shape: tuple[int, int, int] = (1, 28, 28), seed: int = 0, **changes: Any) -> CNN:
    """A network for 10 classes; `padding="valid"` changes a value of `model`."""
    config = shrunk(**{f"model__{key}": value for key, value in changes.items()}).model
    channels = shape[0]
    mean, std = [33.0] * channels, [78.0] * channels
    model = build_model(config, shape, 10, mean, std, generator(seed, "w"))
    assert isinstance(model, CNN)
    return model


@pytest.fixture
def pixels() -> Tensor:
    return torch.rand(5, 1, 28, 28, generator=generator(0, "pixels")) * 255


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "prelu", "gelu", "sigmoid", "tanh"])
@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_every_configuration_gives_logits(
    pixels: Tensor, activation: str, pool: str, batch_norm: bool
) -> None:
    model = build(activation=activation, pool=pool, batch_norm=batch_norm)
    logits = model(pixels)
    assert logits.shape == (5, 10)
    assert torch.isfinite(logits).all()
    # No softmax inside: it would make rows sum to 1.
    assert not torch.allclose(logits.sum(1), torch.ones(5), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "shape", "features"),
    [
        ({}, (1, 28, 28), 8 * 7 * 7),
        ({"padding": "valid"}, (1, 28, 28), 8 * 5 * 5),
        ({"padding": "valid", "kernel_sizes": [4, 3]}, (1, 28, 28), 8 * 5 * 5),
        ({"pool_size": 1}, (1, 28, 28), 8 * 28 * 28),
        ({"pool_size": 3}, (1, 28, 28), 8 * 3 * 3),
        ({"strides": [2, 1]}, (1, 28, 28), 8 * 7 * 7),
        ({"strides": [3, 3], "padding": "valid"}, (1, 28, 20), 8 * 3 * 2),
        ({"hidden": []}, (3, 32, 20), 8 * 8 * 5),
    ],
    ids=str,
)
def test_feature_maps_have_the_size_that_the_config_says(
    changes: dict[str, Any], shape: tuple[int, int, int], features: int
) -> None:
    model = build(shape, **changes)
    first = next(
        layer
        for layer in [*model.hidden.modules(), *model.head.modules()]
        if isinstance(layer, nn.Linear)
    )
    assert first.in_features == features
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


def test_an_image_too_small_for_the_kernels_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.kernel_sizes\[1\]: should be at most 2"):
        build((1, 4, 4))


def test_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build(seed=0).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second, other = build(seed=0).state_dict(), build(seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_weights_have_the_range_of_pytorchs_own() -> None:
    for layer in build(channels=[32, 64], hidden=[128]).modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            assert layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_the_network_normalises_its_input(pixels: Tensor) -> None:
    model = build().eval()
    seen: list[Tensor] = []
    model.convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(pixels)
    assert torch.allclose(seen[0], (pixels - 33) / 78)


def test_pooling_before_a_rising_activation_is_pooling_after_it(pixels: Tensor) -> None:
    model = build(batch_norm=False).eval()
    convolution, pool, activation = model.convolutions[0].children()
    assert torch.equal(activation(pool(convolution(pixels))), pool(activation(convolution(pixels))))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", F.relu),
        ("leaky_relu", F.leaky_relu),
        ("prelu", lambda x: F.prelu(x, torch.tensor(0.25))),
        ("gelu", F.gelu),
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
    ],
)
@pytest.mark.parametrize(("pool", "pooled"), [("max", F.max_pool2d), ("average", F.avg_pool2d)])
def test_activations_and_pools_are_those_named(
    pixels: Tensor, name: str, function: Any, pool: str, pooled: Any
) -> None:
    block = build(activation=name, pool=pool, batch_norm=False).convolutions[0]
    convolved = next(iter(block.children()))(pixels)
    assert torch.allclose(block(pixels), function(pooled(convolved, 2)))


def test_dropout_acts_in_training_only(pixels: Tensor) -> None:
    model = build(dropout=0.5, batch_norm=False)
    assert not torch.equal(model.train()(pixels), model(pixels))
    assert torch.equal(model.eval()(pixels), model(pixels))


def test_frozen_layers_keep_their_batch_statistics(pixels: Tensor) -> None:
    model = build()
    model.layers[0].requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_buffers()}
    F.cross_entropy(model.train()(pixels), torch.arange(5)).backward()
    after = dict(model.named_buffers())
    assert torch.equal(
        before["convolutions.0.1.running_mean"], after["convolutions.0.1.running_mean"]
    )
    assert not torch.equal(
        before["convolutions.1.1.running_mean"], after["convolutions.1.1.running_mean"]
    )


def test_a_replaced_head_has_the_new_classes_and_leaves_the_rest(pixels: Tensor) -> None:
    model = build()
    body = {name: value.clone() for name, value in model.state_dict().items() if "head" not in name}
    replace_head(model, shrunk().model, 26, generator(0, "head"))
    assert model(pixels).shape == (5, 26)
    assert all(
        torch.equal(model.state_dict()[name], value)
        for name, value in body.items()
        if "running" not in name and "tracked" not in name
    )


@pytest.mark.parametrize(
    ("normalisation", "scaled"),
    [("unit", [0.0, 0.2, 1.0]), ("symmetric", [-1.0, -0.6, 1.0]), ("dataset", [-33 / 78, 18 / 78])],
)
def test_pixels_are_scaled_as_the_config_says(normalisation: str, scaled: list[float]) -> None:
    model = build(normalisation=normalisation)
    seen: list[Tensor] = []
    model.convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for value in (0.0, 51.0, 255.0)[: len(scaled)]:
        model(torch.full((1, 1, 28, 28), value))
    assert [image.mean().item() for image in seen] == pytest.approx(scaled, abs=1e-6)


def test_glorot_draws_within_its_bound_and_biases_are_0() -> None:
    model = build(initialisation="glorot", batch_norm=False, channels=[16, 32])
    bound = (6 / (16 * 9 + 32 * 9)) ** 0.5
    convolution = model.convolutions[1].get_submodule("0")
    assert isinstance(convolution, nn.Conv2d)
    largest = convolution.weight.abs().max().item()
    assert bound * 0.98 < largest <= bound
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            assert not layer.bias.any()
    assert torch.equal(
        convolution.weight,
        build(initialisation="glorot", batch_norm=False, channels=[16, 32])
        .convolutions[1]
        .get_parameter("0.weight"),
    )
