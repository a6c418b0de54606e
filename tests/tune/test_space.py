"""The search space, from ranges in params.yaml to parameters."""

from typing import Any

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from src.config.networks import CnnConfig
from src.config.parsing import read
from src.config.values import with_values
from src.core.errors import UserError
from src.tune.space import Space
from tests.conftest import PARAMS


def space(ranges: dict[str, Any], values: dict[str, Any] | None = None) -> Space:
    tree = with_values(read(PARAMS), values or {})
    tree["tune"]["space"] = ranges
    return Space(tree)


RATE = {"type": "float", "low": 0.001, "high": 0.1, "log": True}
KERNELS = {"type": "per_layer", "choices": [3, 5]}


def test_ranges_become_distributions_for_lists_one_per_entry() -> None:
    found = space(
        {
            "train.optimizer.learning_rate": RATE,
            "train.epochs": {"type": "int", "low": 1, "high": 9, "log": False},
            "train.clip_norm": {"type": "categorical", "choices": [None, 1.0]},
            "model.kernel_sizes": KERNELS,
        }
    ).distributions
    assert found == {
        "train.optimizer.learning_rate": FloatDistribution(0.001, 0.1, log=True),
        "train.epochs": IntDistribution(1, 9),
        "train.clip_norm": CategoricalDistribution([None, 1.0]),
        "model.kernel_sizes.0": CategoricalDistribution([3, 5]),
        "model.kernel_sizes.1": CategoricalDistribution([3, 5]),
    }


def test_drawn_values_become_parameters() -> None:
    params = space({"model.kernel_sizes": KERNELS}).params({"model.kernel_sizes.1": 5})
    assert isinstance(params.model, CnnConfig)
    assert params.model.kernel_sizes == (3, 5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model.kernel_sizes.0": 29}, r"model\.kernel_sizes\[0\]: should be at most 28"),
        ({"model.kernel_sizes.1": 4}, r"model\.kernel_sizes: should be odd"),
        ({"train.batch_size": 5000}, r"train\.batch_size: should be at most 3600"),
    ],
)
def test_impossible_combinations_say_why(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        space({"model.kernel_sizes": KERNELS}).params(values)


def test_the_present_values_are_none_outside_the_space() -> None:
    ranges = {"model.kernel_sizes": KERNELS, "train.optimizer.learning_rate": RATE}
    assert space(ranges).present() == {
        "model.kernel_sizes.0": 3,
        "model.kernel_sizes.1": 3,
        "train.optimizer.learning_rate": 0.003,
    }
    assert space(ranges, {"train.optimizer.learning_rate": 0.5}).present() is None
    assert space(ranges, {"model.kernel_sizes": [3, 7]}).present() is None


def test_the_constant_part_has_no_values_that_vary() -> None:
    ranges = {"model.kernel_sizes": KERNELS, "train.optimizer.learning_rate": RATE}
    first = space(ranges).constant()
    varied = {"model.kernel_sizes": [5, 5], "train.optimizer.learning_rate": 0.01}
    assert space(ranges, varied).constant() == first
    for key in ("train.epochs", "model.hidden.0", "seed"):
        assert space(ranges, {key: 7}).constant() != first
    assert space({"model.kernel_sizes": KERNELS}).constant() != first
    assert space(ranges, {"finetune.epochs": 7, "evaluate.mistakes": 7}).constant() == first


def test_a_grid_is_every_combination() -> None:
    points = space(
        {
            "model.kernel_sizes": KERNELS,
            "train.epochs": {"type": "int", "low": 1, "high": 3, "log": False},
        }
    ).grid()
    assert len(points) == 2 * 2 * 3
    assert {"model.kernel_sizes.0": 5, "model.kernel_sizes.1": 3, "train.epochs": 2} in points


def test_the_maximum_of_epochs_is_from_the_range_or_else_from_the_file() -> None:
    assert space({"model.kernel_sizes": KERNELS}).max_epochs() == 2
    epochs = {"type": "categorical", "choices": [4, 9, 3]}
    assert space({"train.epochs": epochs}).max_epochs() == 9
