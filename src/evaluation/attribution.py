"""Which pixels a prediction rests on: saliency and integrated gradients."""

from collections.abc import Mapping, Sequence

import torch
from captum.attr import IntegratedGradients, Saliency
from matplotlib.figure import Figure
from torch import Tensor

from src.core.finding import Finding
from src.core.plots import shortened
from src.core.sheets import contact_sheet, on_paper
from src.evaluation.predictions import Evaluation, Evaluations
from src.evaluation.subjects import PRODUCTS
from src.models.checkpoint import Checkpoint
from src.models.network import Network

STEPS = 50  # of the path from the background to the image
EXAMPLES = 6  # right ones, and as many wrong ones


def attributions(evaluations: Evaluations, models: Mapping[str, Checkpoint]) -> Finding:
    """Of each model on the data it is for: right and wrong answers, a picture each."""
    drawn = {}
    for subject in PRODUCTS:
        found, model = evaluations[subject.name][subject.home], models[subject.name].network
        assert models[subject.name].classes == found.classes  # at home; so indices mean the same
        correct = torch.from_numpy(found.correct)
        for kind, among in (("right", correct), ("wrong", ~correct)):
            places = most_confident(found, among)
            title = f"{subject.name} on {subject.home}: {kind} answers"
            drawn[f"attribution_{subject.name}_{kind}.svg"] = _draw(title, model, found, places)
    return Finding(figures=drawn)


def saliency(model: Network, images: Tensor, classes: Tensor) -> Tensor:
    """The size of the logit's gradient at each pixel, float [N, C, H, W].

    images: uint8 [N, C, H, W]; classes: int64 [N], whose logits are asked about.
    Source: Simonyan, Vedaldi and Zisserman, 2014.
    """
    model.eval()
    pixels = images.float().requires_grad_()
    found: Tensor = Saliency(model).attribute(pixels, target=classes)
    return found.detach()


def integrated_gradients(model: Network, images: Tensor, classes: Tensor) -> Tensor:
    """What each pixel adds to the logit, compared with an image of nothing but the background.

    Arguments and shape as of `saliency`. Over an image they add up to the difference of the logits.
    Source: Sundararajan, Taly and Yan, 2017.
    """
    model.eval()
    pixels = images.float()
    found: Tensor = IntegratedGradients(model).attribute(
        pixels, background(images), target=classes, n_steps=STEPS, internal_batch_size=256
    )
    return found.detach()


def background(images: Tensor) -> Tensor:
    """Images of the same shape, in each channel all of its most frequent value; as float."""
    most = images.flatten(2).float().mode(2).values
    return most[:, :, None, None].expand(images.shape)


def most_confident(found: Evaluation, among: Tensor) -> list[int]:
    """Indices of the most confident answer to an image of each class, at most EXAMPLES.

    among: bool [N], the images to choose from.
    """
    confidence = found.logits.softmax(1).max(1).values.where(among, -1.0)
    order = confidence.argsort(descending=True, stable=True)[: int(among.sum())]
    firsts: dict[int, int] = {}
    for place in order.tolist():
        firsts.setdefault(int(found.labels[place]), place)
    return [*firsts.values()][:EXAMPLES]


def _draw(title: str, model: Network, found: Evaluation, places: Sequence[int]) -> Figure:
    names, images = shortened(found.classes), found.images[places]
    if not places:
        return contact_sheet(images, [], f"{title}: none")
    predicted = found.logits[places].argmax(1)
    asked = model, images.to(model.mean.device), predicted.to(model.mean.device)
    sheets = (
        on_paper(images),
        on_paper(_scaled(saliency(*asked).amax(1, keepdim=True)).mul(255).byte()),
        _in_colour(_scaled(integrated_gradients(*asked).sum(1, keepdim=True))),
    )
    captions = []
    for actual, said in zip(found.labels[places].tolist(), predicted.tolist(), strict=True):
        answer = names[said] if said == actual else f"{names[actual]} → {names[said]}"
        captions += [answer, "saliency", "integrated gradients"]
    return contact_sheet(torch.stack(sheets, 1).flatten(0, 1), captions, title, columns=6)


def _scaled(attribution: Tensor) -> Tensor:
    """[N, 1, H, W] with the largest of each image at 1 or -1."""
    largest = attribution.abs().amax((1, 2, 3), keepdim=True)
    return (attribution / largest.clamp(min=1e-12)).cpu()


def _in_colour(scaled: Tensor) -> Tensor:
    """Blue for positive numbers, red for negative ones, on white; uint8 [N, 3, H, W]."""
    fading = 255 * (1 - scaled.abs())
    red = fading.where(scaled > 0, 255.0)
    blue = fading.where(scaled < 0, 255.0)
    return torch.cat([red, fading, blue], 1).round().byte()
