"""Distances from the training images, and a model with all that belongs to its use."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.core import paths
from src.core.errors import UserError
from src.core.runtime import generator
from src.data.splits import Splits
from src.inference.served import SIDE, Served, Typical, averaged, load_served, to_file
from src.inference.usage import Usage
from src.models.checkpoint import load_model

CPU = torch.device("cpu")


def noise(count: int, shape: tuple[int, ...] = (1, 4, 4)) -> torch.Tensor:
    draw = generator(0, "noise")
    return torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)


def test_the_distance_is_that_of_mahalanobis() -> None:
    images = noise(2_000)
    rows = images.flatten(1).double().numpy() / 255
    off = rows[:5] - rows.mean(0)
    covariance = np.cov(rows.T, bias=True)
    covariance += (0.05 * covariance.diagonal().mean() + 1e-8) * np.eye(len(covariance))
    wanted = np.sqrt(np.einsum("nd,de,ne->n", off, np.linalg.inv(covariance), off) / 16)
    assert Typical.of([images]).distances(images[:5]).numpy() == pytest.approx(wanted, abs=1e-4)


def test_training_images_are_within_1_on_average(few: Splits) -> None:
    distances = Typical.of([few.train.images]).distances(few.train.images)
    assert 0.5 < distances.mean() <= 1


def test_unlike_images_are_farther_than_validation_images(few: Splits) -> None:
    typical = Typical.of([few.train.images])
    usual = typical.distances(few.val.images).quantile(0.97)
    inverted, shuffled = 255 - few.val.images, few.val.images.flatten(1)[:, torch.randperm(784)]
    for unlike in (inverted, shuffled.reshape(few.val.images.shape)):
        assert (typical.distances(unlike) > usual).double().mean() > 0.95


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_an_image_of_one_tone_is_unlike_digits(few: Splits, tone: int) -> None:
    typical, empty = Typical.of([few.train.images]), torch.full((1, 1, 28, 28), tone).byte()
    assert typical.distances(empty) > typical.furthest(few.val.images)


def test_images_that_are_all_the_same_have_finite_distances() -> None:
    typical = Typical.of([torch.zeros(5, 1, 8, 8, dtype=torch.uint8)])
    assert torch.isfinite(typical.distances(noise(3, (1, 8, 8)))).all()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 20), (1, 8, 8), (1, 100, 3), (1, 1, 1)])
def test_averages_are_of_all_channels_and_at_most_14_a_side(shape: tuple[int, ...]) -> None:
    rows = averaged(torch.full((2, *shape), 255, dtype=torch.uint8))
    assert torch.equal(rows, torch.ones_like(rows))
    longest = max(shape[1:]) / min(shape[1:])
    assert rows.shape[1] <= shape[0] * SIDE * max(SIDE, longest)


def test_what_belongs_to_a_model_is_found_by_its_weights(
    model_in_use: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(model_in_use)
    known = load_served(paths.BASE_MODEL).usage
    assert known.weights == hashlib.sha256(paths.BASE_MODEL.read_bytes()).hexdigest()
    assert known.temperature == 0.8
    monkeypatch.chdir(tmp_path)  # where evaluate has seen nothing
    new = load_served(model_in_use / paths.BASE_MODEL).usage
    assert new == Usage(known.weights, known.classes, known.image_shape)


def test_probabilities_are_those_of_divided_logits(model_in_use: Path, few: Splits) -> None:
    checkpoint = load_model(model_in_use / paths.BASE_MODEL, CPU)
    usage = Usage("", checkpoint.classes, checkpoint.image_shape, temperature=4.0)
    images = few.test.images[:5]
    with torch.no_grad():
        logits, cool, distances = Served(checkpoint.model.eval(), usage, None)(images)
        plain = Served(checkpoint.model, replace(usage, temperature=None), None)(images)[1]
    assert torch.allclose(cool, (logits / 4).softmax(1))
    assert torch.allclose(plain, logits.softmax(1))
    assert torch.equal(distances, torch.zeros(5))


def test_equal_findings_give_equal_bytes_and_damaged_ones_are_told(
    model_in_use: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    typical = Typical.of([noise(9)])
    assert to_file({"m": typical}) == to_file({"m": typical})
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_in_use / paths.EVALUATION, paths.EVALUATION)
    for path in (paths.TYPICAL, paths.USAGE):
        path.write_bytes(b"damaged")
        with pytest.raises(UserError, match=f"{path}: damaged"):
            load_served(model_in_use / paths.BASE_MODEL)
