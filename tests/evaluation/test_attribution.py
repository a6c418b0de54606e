"""Attributions of a network that had to learn a mark, and of one that learned nothing."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F

from src.core.runtime import generator
from src.data.imageset import ImageSet
from src.evaluation import attribution
from src.evaluation.attribution import (
    _in_colour,
    attributions,
    background,
    integrated_gradients,
    most_confident,
    saliency,
)
from src.evaluation.predictions import Evaluation
from src.models.build import build_model
from src.models.checkpoint import Checkpoint
from src.models.network import Network
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

SIZE, MARK = 28, 6


def marked(count: int, seed: int, *, light: bool) -> tuple[ImageSet, Tensor]:
    """Dots, and a square of the same ink in the corner that is the class; and where it is, bool."""
    draw = generator(seed, "marked")
    images = 230 * (torch.rand(count, 1, SIZE, SIZE, generator=draw) < 0.1).long()
    labels = torch.arange(count) % 4
    marks = torch.zeros(images.shape, dtype=torch.bool)
    for place, label in enumerate(labels.tolist()):
        row, column = (1 + (SIZE - MARK - 2) * part for part in divmod(label, 2))
        marks[place, 0, row : row + MARK, column : column + MARK] = True
    images[marks] = 230
    shown = (255 - images if light else images).byte()
    mean, std = shown.float().mean().item(), shown.float().std().item()
    return ImageSet(shown, labels, ("a", "b", "c", "d"), (mean,), (std,)), marks


@pytest.fixture(scope="module", params=[False, True], ids=["dark", "light"])
def trained(request: pytest.FixtureRequest) -> tuple[Checkpoint, ImageSet, Tensor]:
    params = shrunk(train__epochs=8)
    train_set, _ = marked(256, 0, light=request.param)
    test_set, marks = marked(32, 1, light=request.param)
    made = train_from_scratch(params.model, params.train, train_set, test_set, 0)
    assert made.fit.kept.val_accuracy == 1.0
    return made.checkpoint, test_set, marks


def test_the_mark_that_decides_gets_most_of_the_attribution(
    trained: tuple[Checkpoint, ImageSet, Tensor],
) -> None:
    checkpoint, data, marks = trained
    found = integrated_gradients(checkpoint.network, data.images, data.labels).abs()
    shares = (found * marks).sum((1, 2, 3)) / found.sum((1, 2, 3))
    assert shares.mean() > 0.6
    # It is a third of the ink, and gets little more from a network that learned nothing.
    other = integrated_gradients(_untrained(checkpoint, data), data.images, data.labels).abs()
    assert ((other * marks).sum((1, 2, 3)) / other.sum((1, 2, 3))).mean() < 0.45


def test_integrated_gradients_add_up_to_the_difference_of_the_logits(
    trained: tuple[Checkpoint, ImageSet, Tensor],
) -> None:
    checkpoint, data, _ = trained
    found = integrated_gradients(checkpoint.network, data.images, data.labels)
    with torch.no_grad():
        logits = checkpoint.model(data.images.float()) - checkpoint.model(background(data.images))
    expected = logits.gather(1, data.labels[:, None])[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), expected, rtol=0.05, atol=0.1)


def test_a_network_that_learned_nothing_has_other_attributions(
    trained: tuple[Checkpoint, ImageSet, Tensor],
) -> None:
    """The sanity check of Adebayo et al., 2018: attributions are of the network, not the image."""
    checkpoint, data, _ = trained
    ink = data.images != background(data.images)  # the attribution of all else is 0 in any network
    for attribute in (integrated_gradients, saliency):
        found, other = (
            attribute(network, data.images, data.labels).abs()
            for network in (checkpoint.network, _untrained(checkpoint, data))
        )
        pairs = zip(found, other, ink, strict=True)
        ranks = [spearmanr(a[where], b[where]).statistic for a, b, where in pairs]
        assert abs(sum(ranks) / len(ranks)) < 0.3


def _untrained(checkpoint: Checkpoint, data: ImageSet) -> Network:
    shape, classes = data.image_shape, len(data.classes)
    draw = generator(1, "weights")
    return build_model(checkpoint.config, shape, classes, data.mean, data.std, draw)


def test_blue_speaks_for_and_red_against() -> None:
    drawn = _in_colour(torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1))[:, :, 0, 0].tolist()
    assert drawn == [[0, 0, 255], [255, 0, 0], [255, 255, 255]]


def test_the_answer_is_asked_about_not_the_label(
    trained: tuple[Checkpoint, ImageSet, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, data, _ = trained
    asked: list[list[int]] = []

    def attribute(_model: Network, images: Tensor, classes: Tensor) -> Tensor:
        asked.append(classes.tolist())
        return images.float()

    monkeypatch.setattr(attribution, "saliency", attribute)
    monkeypatch.setattr(attribution, "integrated_gradients", attribute)
    logits = F.one_hot(torch.zeros_like(data.labels), 4).float()  # always the first class
    wrong = Evaluation({}, data.images, data.labels, logits, data.classes)
    right = replace(wrong, logits=F.one_hot(data.labels, 4).float())
    models = dict.fromkeys(("base", "finetuned", "scratch"), checkpoint)
    found = attributions(
        {"base": {"source": wrong}, "finetuned": {"target": right}, "scratch": {}}, models
    )
    assert [sorted(each) for each in asked] == [[0], [0], [0, 0, 0], [0, 0, 0], *[[0, 1, 2, 3]] * 2]
    assert {*found.figures} == {
        f"attribution_{model}_{kind}.svg"
        for model in ("base", "finetuned")
        for kind in ("right", "wrong")
    }
    told = str(found.figures["attribution_base_wrong.svg"].get_label())
    assert all(f"{name} → a; saliency; integrated gradients" in told for name in "bcd")
    assert "none" in str(found.figures["attribution_finetuned_wrong.svg"].get_label())


def test_the_most_confident_answer_to_an_image_of_each_class() -> None:
    logits = torch.tensor([[3.0, 0, 0], [5, 0, 0], [0, 1, 0], [0, 2, 0], [0, 0, 9], [0, 9, 0]])
    labels = torch.tensor([0, 0, 1, 1, 0, 2])
    found = Evaluation({}, torch.zeros(6, 1, 2, 2), labels, logits, ("a", "b", "c"))
    correct = torch.from_numpy(found.correct)
    assert most_confident(found, correct) == [1, 3]
    assert most_confident(found, ~correct) == [4, 5]
    assert most_confident(found, torch.zeros(6, dtype=torch.bool)) == []
