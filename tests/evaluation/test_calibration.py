import pytest
import torch
from torch import Tensor

from src.evaluation.calibration import COLDEST, fit_temperature, reliability
from src.evaluation.metrics import calibration_error
from src.runtime import generator


def calibrated(n: int = 20_000) -> tuple[Tensor, Tensor]:
    """Logits of 5 classes, and labels drawn with the probabilities that these state."""
    draw = generator(0, "calibration")
    logits = 2 * torch.randn(n, 5, generator=draw)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=draw)[:, 0]


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_the_temperature_is_the_factor_by_which_a_model_is_too_sure(factor: float) -> None:
    logits, labels = calibrated()
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.05)


def test_a_temperature_mends_what_it_was_fitted_for() -> None:
    logits, labels = calibrated()
    sure = 3 * logits
    mended = sure / fit_temperature(sure, labels)
    assert calibration_error(mended, labels, 15) < 0.02 < calibration_error(sure, labels, 15)


def test_without_a_mistake_the_temperature_ends_at_its_bound() -> None:
    logits = torch.eye(4) * 3
    assert fit_temperature(logits, torch.arange(4)) == pytest.approx(COLDEST, rel=0.01)


def test_reliability_by_hand() -> None:
    confident, unsure = torch.tensor([0.95, 0.05]).log(), torch.tensor([0.55, 0.45]).log()
    logits = torch.stack([confident, confident, unsure, unsure])
    table = reliability(logits, torch.tensor([0, 0, 0, 1]), bins=10)
    assert table["from"].tolist() == [0.5, 0.9]
    assert table["to"].tolist() == [0.6, 1.0]
    assert table["n"].tolist() == [2, 2]
    assert table["accuracy"].tolist() == [0.5, 1.0]
    assert table["confidence"].tolist() == pytest.approx([0.55, 0.95])
    assert (table["accuracy_lo"] < table["accuracy"]).all()


def test_reliability_and_its_error_agree() -> None:
    logits, labels = calibrated(500)
    table = reliability(2 * logits, labels, 15)
    gaps = (table["accuracy"] - table["confidence"]).abs() * table["n"] / 500
    assert gaps.sum() == pytest.approx(calibration_error(2 * logits, labels, 15))
