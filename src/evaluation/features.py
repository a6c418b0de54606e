"""What a network sees: its first filters, and an image on its way through the layers."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from src.core.finding import Finding
from src.core.sheets import contact_sheet, filled_up
from src.evaluation.attribution import most_confident
from src.evaluation.predictions import Evaluations
from src.evaluation.subjects import PRODUCTS
from src.models.checkpoint import Checkpoint
from src.models.network import Network
from src.models.scoring import as_pixels

FILTERS = 64  # in the picture, at most
MAPS = 10  # of each layer


def features(evaluations: Evaluations, models: Mapping[str, Checkpoint]) -> Finding:
    """Of each model: its filters, and the maps of a test image that it is sure of."""
    drawn = {}
    for subject in PRODUCTS:
        found, checkpoint = evaluations[subject.name][subject.home], models[subject.name]
        drawn[f"filters_{subject.name}.svg"] = _draw_filters(subject.name, filters(checkpoint))
        sure = most_confident(found, torch.from_numpy(found.correct))[:1]
        maps = feature_maps(checkpoint.network, found.images[sure[0]]) if sure else []
        if maps:
            drawn[f"features_{subject.name}.svg"] = _draw_maps(
                subject.name, found.images[sure[0]], maps
            )
    return Finding(figures=drawn)


def filters(checkpoint: Checkpoint) -> Tensor:
    """The weights of the first layer by output, float [outputs, C, height, width].

    Those of a fully connected layer have the size of the image.
    """
    weights = next(checkpoint.network.layers[0].parameters()).detach().cpu()
    return weights if weights.dim() == 4 else weights.view(-1, *checkpoint.image_shape)


def feature_maps(model: Network, image: Tensor) -> list[Tensor]:
    """What each convolution makes of an image uint8 [C, H, W]: float [channels, height, width]."""
    maps: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, made: maps.append(made[0].cpu()))
        for layer in model.body
    ]
    model.eval()
    with torch.inference_mode():
        model(as_pixels(image[None].to(model.mean.device)))
    for hook in hooks:
        hook.remove()
    return [each for each in maps if each.dim() == 3]


def _draw_filters(name: str, weights: Tensor) -> Figure:
    """Grey is 0; each filter has its own scale."""
    shown = weights[:FILTERS]
    largest = shown.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    pixels = (127.5 * (1 + shown / largest)).round().byte()
    title = f"{name}: {len(shown)} of {len(weights)} filters of the first layer"
    return contact_sheet(pixels, [], title, columns=16, cell=0.45)


def _draw_maps(name: str, image: Tensor, maps: Sequence[Tensor]) -> Figure:
    """A row per layer, with the first of its maps; darker is more active."""
    shown, captions = [filled_up(image[None], MAPS)], ["image"]
    for number, layer in enumerate(maps, start=1):
        active = layer[:MAPS, None].abs()
        active = F.interpolate(active / active.amax().clamp(min=1e-12), image.shape[1:])
        shown.append(filled_up((255 * active).byte(), MAPS))
        captions.append(f"layer {number}, {'x'.join(map(str, layer.shape[1:]))}")
    title = f"{name}: an image, and at most {MAPS} maps of each layer"
    return contact_sheet(torch.cat(shown), captions, title, columns=MAPS, by_row=True)
