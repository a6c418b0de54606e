"""What a network costs: its layers with weights, and their multiply-adds for one image."""

import torch
from torch import Tensor, nn

from src.models.network import Network


def weight_layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The layers that multiply, from the image upwards; the last is the output layer."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def multiply_adds(network: Network, image_shape: tuple[int, int, int]) -> list[int]:
    """Of each layer in `weight_layers`, for one image; additions of a bias do not count."""
    found: list[int] = []

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], made: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        found.append(made[0].numel() * weight[0].numel())

    hooks = [layer.register_forward_hook(count) for layer in weight_layers(network)]
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(1, *image_shape, device=network.mean.device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return found
