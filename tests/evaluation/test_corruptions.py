import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as other

from src.data.imageset import ImageSet
from src.data.splits import Splits
from src.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from src.evaluation.robustness import robustness, under_corruptions
from src.evaluation.subjects import SUBJECTS
from src.models.scoring import score
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk


def images(pixels: Tensor) -> ImageSet:
    return ImageSet(pixels, torch.zeros(len(pixels)).long(), ("a",), (0.0,), (1.0,))


def square(size: int = 50) -> ImageSet:
    """Twenty times a bright square in the middle."""
    pixels = torch.zeros(20, 1, size, size, dtype=torch.uint8)
    pixels[:, :, size * 2 // 5 : size * 3 // 5, size * 2 // 5 : size * 3 // 5] = 200
    return images(pixels)


def centres(pixels: Tensor) -> tuple[Tensor, Tensor]:
    ink = pixels[:, 0].double()
    place = torch.arange(ink.shape[-1]).double()
    total = ink.sum((1, 2))
    return (ink.sum(1) * place).sum(1) / total, (ink.sum(2) * place).sum(1) / total


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_repeatable_and_drawn_from_the_seed(few: Splits, kind: str) -> None:
    corrupted = corrupt(few.test, kind, 3, seed=0)
    assert corrupted.images.dtype == torch.uint8
    assert torch.equal(corrupted.labels, few.test.labels)
    assert torch.equal(corrupted.images, corrupt(few.test, kind, 3, seed=0).images)
    drawn = kind not in ("blur", "contrast")
    other_seed = corrupt(few.test, kind, 3, seed=1).images
    assert drawn != torch.equal(corrupted.images, other_seed)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_severity_takes_more_away_in_any_size_and_colour(few: Splits, kind: str) -> None:
    colour = images(few.test.images[:, :, 3:, :].repeat(1, 3, 1, 1))
    for data in (few.test, colour):
        change = [
            (corrupt(data, kind, severity, 0).images.float() - data.images.float()).abs().mean()
            for severity in SEVERITIES
        ]
        assert change[0] > 0
        assert change == sorted(change)


def test_a_shift_moves_by_its_share_of_the_side() -> None:
    across, down = centres(corrupt(square(), "shift", 3, 0).images)
    middle = 24.5
    distance = torch.hypot(across - middle, down - middle)
    assert distance.tolist() == pytest.approx([0.12 * 50] * 20, abs=0.1)
    angles = torch.atan2(down - middle, across - middle)
    assert angles.std() > 1  # in every direction


def test_a_rotation_turns_to_either_side(few: Splits) -> None:
    corrupted = corrupt(few.test, "rotation", 2, 0).images.float()
    sides = [
        other.rotate(few.test.images.float(), degrees, other.InterpolationMode.BILINEAR)
        for degrees in (20, -20)
    ]
    gaps = torch.stack([(corrupted - side).abs().mean((1, 2, 3)) for side in sides])
    assert gaps.min(0).values.max() < 1
    assert set(gaps.argmin(0).tolist()) == {0, 1}


def test_noise_has_its_standard_deviation() -> None:
    grey = images(torch.full((20, 1, 50, 50), 128, dtype=torch.uint8))
    noise = corrupt(grey, "noise", 1, 0).images.float() - 128
    assert noise.std().item() == pytest.approx(0.08 * 255, rel=0.02)


def test_blur_is_gaussian(few: Splits) -> None:
    sigma = 0.018 * 2 * 28
    radius = math.ceil(3 * sigma)
    padded = other.pad(few.test.images.float(), [radius] * 4)
    expected = other.gaussian_blur(padded, [2 * radius + 1] * 2, [sigma] * 2)
    inner = expected[..., radius:-radius, radius:-radius]
    corrupted = corrupt(few.test, "blur", 2, 0).images.float()
    assert (corrupted - inner).abs().max() <= 1


def test_contrast_keeps_the_mean() -> None:
    [[corrupted]] = corrupt(square(), "contrast", 5, 0).images[:1].float()
    assert corrupted.max() - corrupted.min() == pytest.approx(0.15 * 200, abs=1)
    assert corrupted.mean().item() == pytest.approx(200 * 0.04, abs=0.6)


def test_an_occlusion_hides_a_square() -> None:
    white = images(torch.full((20, 1, 50, 50), 255, dtype=torch.uint8))
    corrupted = corrupt(white, "occlusion", 2, 0).images
    assert (corrupted == 0).sum((1, 2, 3)).tolist() == [9 * 9] * 20
    assert (
        len({tuple((image == 0).nonzero()[0].tolist()) for image in corrupted}) > 10
    )  # at many places


def test_the_table_has_every_kind_and_severity_with_its_interval(few: Splits) -> None:
    params = shrunk(train__epochs=4)
    base = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
    table = under_corruptions({"base": (base, few.test)}, 0)
    assert len(table) == 1 + len(CORRUPTIONS) * len(SEVERITIES)
    assert (table["accuracy_lo"] <= table["accuracy"]).all()
    worst = table[table["severity"] == 5]["accuracy"].mean()
    assert worst < table["accuracy"].iloc[0] - 0.1


def test_only_the_severity_differs_between_severities() -> None:
    def directions(severity: int) -> Tensor:
        across, down = centres(corrupt(square(), "shift", severity, 0).images)
        return torch.atan2(down - 24.5, across - 24.5)

    assert torch.allclose(directions(3), directions(5), atol=0.05)


def test_batches_do_not_change_what_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    data = square()
    whole = corrupt(data, "blur", 3, 0).images
    monkeypatch.setattr("src.evaluation.corruptions.BATCH", 7)
    assert torch.equal(corrupt(data, "blur", 3, 0).images, whole)
    shifted = corrupt(data, "shift", 3, 0).images
    assert len({image.numpy().tobytes() for image in shifted}) == 20  # each batch draws on


def test_the_metric_is_the_mean_over_the_corrupted_images(few: Splits) -> None:
    params = shrunk(train__epochs=4)
    base = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
    models = {"base": base, "finetuned": base}
    finding = robustness(SUBJECTS, models, {"source": few.test, "target": few.val}, 0)
    table = finding.tables["corruptions.csv"]
    for model, role in (("base", "source"), ("finetuned", "target")):
        rows = table[(table["model"] == model) & (table["corruption"] != "none")]
        assert finding.metrics[f"{model}_{role}_accuracy_corrupted"] == pytest.approx(
            rows["accuracy"].mean()
        )
    clean = table[table["corruption"] == "none"].set_index("model")["accuracy"]
    assert clean["base"] == score(base.model, few.test).accuracy
    assert clean["finetuned"] == score(base.model, few.val).accuracy
