"""What models cost is what their files and engines cost."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from src.compress import measure
from src.compress.measure import ROUNDS, WARM_UP, in_turn
from src.compress.plan import MadeModel, Plan
from src.data.splits import Splits
from src.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from src.inference.exporting import as_exported
from src.models.checkpoint import from_bytes, to_bytes
from src.models.scoring import predict
from src.training.smaller import make
from tests.conftest import shrunk
from tests.in_use import trained


class Engine:
    """Takes its seconds on a clock of its own, the first images longer."""

    def __init__(self, clock: Any, seconds: float, calls: list["Engine"]) -> None:
        self._clock, self._seconds, self._calls = clock, seconds, calls

    def run(self, pixels: np.ndarray) -> Any:
        first = self not in self._calls
        self._calls.append(self)
        self._clock.now += len(pixels) * self._seconds * (10 if first else 1)


def test_engines_are_timed_in_turn_once_they_are_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = SimpleNamespace(now=0.0), list[Engine]()
    monkeypatch.setattr("src.compress.measure.time.perf_counter", lambda: clock.now)
    engines = [Engine(clock, seconds, calls) for seconds in (0.1, 0.3, 0.2)]
    taken = in_turn(engines, np.zeros((2, 1, 4, 4), np.uint8))  # type: ignore[arg-type]
    assert taken.shape == (3, ROUNDS)
    assert np.allclose(taken, [[0.2], [0.6], [0.4]])
    rounds = [calls[at : at + 3] for at in range(0, len(calls), 3)]
    assert len(rounds) == ROUNDS + WARM_UP
    assert all({*each} == {*engines} for each in rounds)
    assert {each[0] for each in rounds} == {*engines}


@pytest.fixture(scope="module")
def models(few: Splits) -> list[measure.Model]:
    """The base model, a student of it with its training alone, and the student with 8 bits."""
    images = {
        f"{role}.{name}": data
        for role in ("source", "target")
        for name, data in few._asdict().items()
    }
    params = shrunk(
        compress__models={
            "student": {"type": "student", "parent": "original", "network": {"channels": [2, 2]}},
            "small": {"type": "int8", "parent": "student"},
        }
    )
    plan = Plan.of(params, [], range(1))
    base = to_bytes(trained(few))
    student = make("student", plan.params, base, images, [])
    small = make("small", plan.params, student, images, [])
    made = {
        plan.keys(name)[0]: MadeModel(content)
        for name, content in (("base", base), ("student", student), ("small", small))
    }
    return measure.measure(plan, made, images, params.evaluate)


def test_costs_are_those_of_each_model(models: list[measure.Model], few: Splits) -> None:
    base, student, small = models
    assert [model.key.name for model in models] == ["base", "student", "small"]
    assert base.cost
    assert student.cost
    assert small.cost
    assert base.cost.ratios == {1: 1.0, 64: 1.0}
    assert base.cost.size == as_exported(trained(few), threads=1)[1]
    assert student.cost.parameters == small.cost.parameters < base.cost.parameters
    assert student.cost.multiply_adds == small.cost.multiply_adds < base.cost.multiply_adds
    assert small.cost.size != student.cost.size


def test_accuracy_under_corruptions_is_the_mean_over_all(
    models: list[measure.Model], few: Splits
) -> None:
    base = from_bytes(to_bytes(trained(few)), torch.device("cpu")).model
    right = [
        float((predict(base, images).argmax(1) == images.labels).double().mean())
        for kind in CORRUPTIONS
        for severity in SEVERITIES
        for images in [corrupt(few.test, kind, severity, shrunk().seed)]
    ]
    assert models[0].corrupted == pytest.approx(np.mean(right))
    assert models[0].home_test.metrics["accuracy"] > 0.5
