import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from src.core.runtime import generator
from src.data.splits import Splits
from src.evaluation.calibration import calibration, fit_temperature, reliability
from src.evaluation.metrics import calibration_error
from src.evaluation.predictions import evaluate_all
from src.evaluation.subjects import SUBJECTS
from src.models.scoring import predict
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk


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


def test_few_images_without_a_mistake_ask_for_no_certainty() -> None:
    """A calibrated model of 99.9 %: fitted on so few images, it should stay about as good."""
    draw = generator(1, "few")
    logits = torch.zeros(20_000, 10)
    logits[:, 0] = torch.randn(20_000, generator=draw) + 9.5
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw)[:, 0]
    few = torch.arange(142)
    assert (labels[few] == 0).all()
    temperature = fit_temperature(logits[few], labels[few])
    assert 0.5 < temperature < 1.5
    before, after = (F.cross_entropy(logits / t, labels).item() for t in (1, temperature))
    assert after < before * 1.2


def test_the_temperature_is_fitted_on_the_validation_images(few: Splits) -> None:
    params = shrunk(train__epochs=4)
    base = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
    models = dict.fromkeys(("base", "finetuned", "scratch"), base)
    found = evaluate_all(
        SUBJECTS, models, {"source": few.test, "target": few.test}, params.evaluate
    )
    vals = {"source": few.val, "target": few.train}
    finding = calibration(SUBJECTS, found, models, vals, 15)
    table = finding.tables["calibration.csv"].set_index("model")
    for model, split in (("base", few.val), ("finetuned", few.train)):
        logits = predict(base.model, split)
        expected = fit_temperature(logits, split.labels)
        assert table.loc[model, "temperature"] == pytest.approx(expected)
        assert table.loc[model, "val_images"] == len(split)
        assert table.loc[model, "val_mistakes"] == (logits.argmax(1) != split.labels).sum()
    scaled = predict(base.model, few.test) / finding.metrics["base_source_temperature"]
    assert finding.metrics["base_source_loss_scaled"] == pytest.approx(
        F.cross_entropy(scaled, few.test.labels).item(), rel=1e-4
    )
    assert "reliability.svg" in finding.figures


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
