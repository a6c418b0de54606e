"""Structured pruning: a network without its least important channels and hidden units.

Whole units are taken away, so what remains is an ordinary network with smaller layers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from src.core.errors import UserError
from src.data.imageset import ImageSet, batches
from src.models.build import assemble
from src.models.checkpoint import Checkpoint
from src.models.cost import multiply_adds, weight_layers
from src.models.network import Network
from src.models.scoring import as_pixels

BATCH = 50  # images whose gradients are added before they are squared


def importances(network: Network, data: ImageSet) -> list[Tensor]:
    """How much the loss depends on each unit of each layer below the head, float64 [units] each.

    It is the first-order estimate of the change in loss if the unit is removed, squared and summed
    over batches; so it can be compared between layers. Source: Molchanov, Mallya, Tyree, Frosio
    and Kautz, 2019.
    """
    widths = [layer.weight.shape[0] for layer in weight_layers(network)[:-1]]
    device = network.mean.device
    gates = [torch.ones(width, device=device, requires_grad=True) for width in widths]
    found = [torch.zeros(width, dtype=torch.float64, device=device) for width in widths]
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, made, gate=gate: (
                made * gate.view(1, -1, *[1] * (made.dim() - 2))
            )
        )
        for layer, gate in zip(network.body, gates, strict=True)
    ]
    network.eval()
    for images, labels in batches(data, BATCH):
        loss = F.cross_entropy(network(as_pixels(images)), labels)
        gradients = torch.autograd.grad(loss, gates)
        for sums, gradient in zip(found, gradients, strict=True):
            sums += gradient.double().square()
    for hook in hooks:
        hook.remove()
    return [each.cpu() for each in found]


def least_costly(
    importance: Sequence[Tensor], costs: Sequence[int], outputs: int, inputs: int, share: float
) -> list[Tensor]:
    """The indices of the units to keep, by layer, so that at most `share` of all costs remains.

    costs: multiply-adds by layer, the head's last; outputs, inputs: classes, channels of the image.
    One unit after the other goes: the one that matters least for the multiply-adds that it saves.
    Raises UserError if more remains even with one unit in each layer.
    """
    widths = [inputs, *map(len, importance), outputs]
    each = [cost / (a * b) for cost, a, b in zip(costs, widths, widths[1:], strict=False)]
    orders = [scores.argsort(stable=True).tolist() for scores in importance]
    gone = [0] * len(orders)

    def saved(layer: int) -> float:
        """By one unit of the layer: in it, and in the next one."""
        return each[layer] * widths[layer] + each[layer + 1] * widths[layer + 2]

    def price(layer: int) -> float:
        return float(importance[layer][orders[layer][gone[layer]]]) / saved(layer)

    def total() -> float:
        return sum(cost * a * b for cost, a, b in zip(each, widths, widths[1:], strict=False))

    target = share * sum(costs)
    while total() > target:
        left = [layer for layer in range(len(orders)) if widths[layer + 1] > 1]
        if not left:
            least = math.ceil(1000 * total() / sum(costs)) / 1000
            raise UserError(f"multiply_adds: should be at least {least}, not {share}")
        cheapest = min(left, key=price)
        gone[cheapest] += 1
        widths[cheapest + 1] -= 1
    return [torch.tensor(sorted(order[count:])) for order, count in zip(orders, gone, strict=True)]


def prune(checkpoint: Checkpoint, data: ImageSet, share: float) -> Checkpoint:
    """A smaller copy, with at most `share` of the multiply-adds; data: training images.

    Raises UserError if that is too few, or if there is nothing to remove.
    """
    network, shape = checkpoint.network, checkpoint.image_shape
    if not network.body:
        raise UserError("the network has no channels and no hidden units that could be removed")
    kept = least_costly(
        importances(network, data),
        multiply_adds(network, shape),
        outputs=len(checkpoint.classes),
        inputs=shape[0],
        share=share,
    )
    return without(checkpoint, kept)


def without(checkpoint: Checkpoint, kept: Sequence[Tensor]) -> Checkpoint:
    """A copy that has only these units of each layer below the head; they compute the same.

    kept: indices, in ascending order, int64 [units] for each layer.
    """
    network = checkpoint.network
    config = checkpoint.config.with_widths([len(units) for units in kept])
    mean, std = network.mean.flatten().tolist(), network.std.flatten().tolist()
    smaller = assemble(config, checkpoint.image_shape, len(checkpoint.classes), mean, std)
    width = checkpoint.image_shape[0]
    inputs, outputs = torch.arange(width), [*kept, torch.arange(len(checkpoint.classes))]
    for old, new, units in zip(network.layers, smaller.layers, outputs, strict=True):
        (layer,) = weight_layers(old)
        each = layer.weight.shape[1] // width  # a channel is many inputs of a fully connected layer
        columns = (inputs[:, None] * each + torch.arange(each)).flatten()
        shapes = new.state_dict()
        new.load_state_dict(
            {
                name: _chosen(weights.cpu(), shapes[name].shape, units, columns)
                for name, weights in old.state_dict().items()
            }
        )
        inputs, width = units, layer.weight.shape[0]
    smaller.to(network.mean.device).to(memory_format=torch.channels_last)
    return replace(checkpoint, model=smaller, config=config)


def _chosen(weights: Tensor, shape: torch.Size, units: Tensor, columns: Tensor) -> Tensor:
    """Of a layer's weights, those of these units and inputs; all where the shape stays."""
    if weights.shape == shape:
        return weights
    return weights[units][:, columns] if weights.dim() > 1 else weights[units]
