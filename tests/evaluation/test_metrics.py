import math

import pytest
import torch
from torch import Tensor

from src.core.stats import wilson
from src.evaluation.metrics import (
    calibration_error,
    confusion,
    measure,
    per_class,
    predictions,
)

# Five images of three classes: the third of class 0 is taken for class 1.
LABELS = torch.tensor([0, 0, 0, 1, 2])
PREDICTED = torch.tensor([0, 0, 1, 1, 2])


def sure(predicted: Tensor, confidence: float) -> Tensor:
    """Logits for three classes that give the predicted one this probability."""
    probabilities = torch.full((len(predicted), 3), (1 - confidence) / 2)
    probabilities[torch.arange(len(predicted)), predicted] = confidence
    return probabilities.log()


def test_measures_worked_by_hand() -> None:
    metrics = measure(sure(PREDICTED, 0.8), LABELS, bins=10)
    assert metrics["n"] == 5
    assert metrics["accuracy"] == 0.8
    assert metrics["loss"] == pytest.approx(-(4 * math.log(0.8) + math.log(0.1)) / 5)
    assert metrics["precision_macro"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert metrics["recall_macro"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert metrics["f1_macro"] == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    assert metrics["ece"] == pytest.approx(0, abs=1e-6)  # 80 % sure and 80 % right
    assert list(metrics) == [
        "n",
        "accuracy",
        "accuracy_lo",
        "accuracy_hi",
        "loss",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "ece",
    ]


def test_wilson_intervals_are_those_of_the_formula() -> None:
    z, n, p = 1.959963984540054, 10_000, 0.99
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert wilson(9_900, n) == pytest.approx((centre - half, centre + half))
    assert wilson(9_900, n) == pytest.approx((0.9879, 0.9918), abs=1e-4)
    assert wilson(5, 5)[1] == 1.0
    assert wilson(0, 5)[0] == 0.0


@pytest.mark.parametrize(("confidence", "error"), [(0.8, 0.0), (0.95, 0.15), (0.5, 0.3)])
def test_calibration_error_is_the_gap_between_confidence_and_accuracy(
    confidence: float, error: float
) -> None:
    logits = sure(PREDICTED, confidence)
    assert calibration_error(logits, LABELS, 15) == pytest.approx(error, abs=1e-6)


def test_calibration_errors_of_different_bins_do_not_cancel() -> None:
    """Half the images too sure, half too unsure: right on average, wrong in each bin."""
    right = torch.tensor([0, 0, 0, 0])
    logits = torch.cat([sure(right, 0.6), sure(right, 0.9)])
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    assert calibration_error(logits, labels, 10) == pytest.approx((0.4 + 0.4) / 2, abs=1e-6)


def test_full_confidence_falls_into_the_last_bin() -> None:
    logits = torch.tensor([[100.0, -100.0], [100.0, -100.0]])
    assert calibration_error(logits, torch.tensor([0, 1]), 2) == pytest.approx(0.5)


def test_calibration_error_has_the_bins_it_is_given() -> None:
    """One bin lets 60 % and 90 % of confidence cancel; ten keep them apart."""
    logits = torch.cat([sure(torch.tensor([0, 0]), 0.6), sure(torch.tensor([0, 0]), 0.9)])
    labels = torch.tensor([0, 0, 0, 1])
    one, ten = (measure(logits, labels, bins)["ece"] for bins in (1, 10))
    assert one == pytest.approx(0.0, abs=1e-6)
    assert ten == pytest.approx(0.4)


def test_confusion_has_labels_in_rows_and_predictions_in_columns() -> None:
    assert confusion(sure(PREDICTED, 0.8), LABELS).tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_a_class_without_images_is_told_as_such() -> None:
    table = per_class(sure(PREDICTED[:4], 0.8), LABELS[:4], ["a", "b", "c"]).set_index("class")
    assert table["n"].tolist() == [3, 1, 0]
    assert table["precision"].tolist()[2] == table["recall"].tolist()[2] == 0
    assert table["f1"].tolist()[2] == 0
    assert table.loc["a", "recall"] == pytest.approx(2 / 3)


def test_predictions_are_named_and_in_order() -> None:
    table = predictions(sure(PREDICTED, 0.8), LABELS, ["a", "b", "c"])
    assert table["actual"].tolist() == ["a", "a", "a", "b", "c"]
    assert table["predicted"].tolist() == ["a", "a", "b", "b", "c"]
    assert table["confidence"].tolist() == pytest.approx([0.8] * 5)
