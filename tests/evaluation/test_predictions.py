from dataclasses import replace

import pytest
import torch

from src.data.splits import Splits
from src.evaluation.metrics import match_classes
from src.evaluation.predictions import accuracy, evaluate, evaluate_all
from src.evaluation.subjects import SUBJECTS
from src.models.checkpoint import Checkpoint
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk


@pytest.fixture(scope="module")
def base(few: Splits) -> Checkpoint:
    params = shrunk(train__epochs=4)
    return train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint


def test_equal_classes_leave_the_logits_alone() -> None:
    logits = torch.randn(3, 2)
    assert match_classes(logits, ("a", "b"), ("a", "b")) == (logits, ("a", "b"))


def test_classes_are_matched_by_name() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 5.0, 1.0]])
    matched, names = match_classes(logits, ("a", "b", "c"), ("b", "x"))
    assert names == ("b", "x", "a", "c")
    assert matched.argmax(1).tolist() == [2, 0]
    probability = matched.softmax(1)
    assert torch.allclose(probability[:, [2, 0, 3]], logits.softmax(1))
    assert probability[:, 1].max() < 1e-30
    assert torch.isfinite(matched).all()


def test_the_order_of_classes_does_not_matter(base: Checkpoint, few: Splits) -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    reordered = replace(
        few.test,
        labels=order.argsort()[few.test.labels],
        classes=tuple(few.test.classes[place] for place in order),
    )
    config = shrunk().evaluate
    expected, found = (evaluate(base, data, config).metrics for data in (few.test, reordered))
    assert found == pytest.approx(expected, abs=1e-6)
    assert accuracy(base, reordered) == expected["accuracy"] > 0.3


def test_a_model_of_other_classes_has_accuracy_0_and_a_finite_loss(
    base: Checkpoint, few: Splits
) -> None:
    letters = replace(few.test, classes=tuple("abcdefghij"))
    evaluation = evaluate(base, letters, shrunk().evaluate)
    assert evaluation.metrics["accuracy"] == 0
    assert 80 < evaluation.metrics["loss"] < 100
    assert len(evaluation.classes) == 20


def test_the_network_from_scratch_is_tested_on_the_target_only(
    base: Checkpoint, few: Splits
) -> None:
    models = {"base": base, "finetuned": base, "scratch": base}
    tests = {"source": few.test, "target": few.val}
    found = evaluate_all(SUBJECTS, models, tests, shrunk().evaluate)
    assert {name: list(roles) for name, roles in found.items()} == {
        "base": ["source", "target"],
        "finetuned": ["source", "target"],
        "scratch": ["target"],
    }
