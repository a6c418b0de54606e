import math
from typing import Any

import pytest
import torch
from torch import nn

from src.config.sections import ScheduleConfig
from src.training.optim import LayerPlan, Schedule, build_optimizer, rate_factor
from tests.conftest import shrunk

STEPS = 10  # per epoch


def factors(epochs: int = 8, **changes: Any) -> list[float]:
    config: ScheduleConfig = shrunk(
        **{f"train__schedule__{key}": value for key, value in changes.items()}
    ).train.schedule
    return [rate_factor(config, step, epochs, STEPS) for step in range(epochs * STEPS)]


def test_constant_stays() -> None:
    assert set(factors(name="constant")) == {1.0}


def test_step_drops_between_epochs() -> None:
    rates = factors(name="step", step_epochs=3, step_factor=0.5)
    assert rates == [1.0] * 30 + [0.5] * 30 + [0.25] * 20


def test_cosine_falls_from_the_whole_rate_towards_zero() -> None:
    rates = factors(name="cosine")
    assert rates[0] == 1.0
    assert rates[40] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0, abs=1e-3)
    assert rates == sorted(rates, reverse=True)


def test_one_cycle_rises_for_its_warmup_and_falls_after_it() -> None:
    rates = factors(name="one_cycle", warmup=0.25)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[20] == 1.0
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one_cycle"])
def test_the_shortest_fit_has_a_rate_above_zero(name: str) -> None:
    config = shrunk(train__schedule__name=name).train.schedule
    assert 0 < rate_factor(config, 0, 1, 1) <= 1


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_each_layer_has_its_share_of_the_rate(name: str) -> None:
    config = shrunk(train__optimizer__name=name, train__optimizer__learning_rate=0.01).train
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    optimizer = build_optimizer(layers, [LayerPlan(rate=0.5), LayerPlan()], config.optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.005, 0.01]
    assert all(
        group["weight_decay"] == config.optimizer.weight_decay for group in optimizer.param_groups
    )


def test_a_schedule_moves_the_rate_of_every_group_alike() -> None:
    config = shrunk(train__optimizer__learning_rate=0.01).train
    cosine = config.schedule.model_copy(update={"name": "cosine"})
    layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
    optimizer = build_optimizer(layers, [LayerPlan(rate=0.5), LayerPlan()], config.optimizer)
    schedule = Schedule(optimizer, cosine, epochs=2, steps_per_epoch=2)
    early = (1 + math.cos(math.pi / 4)) / 2
    for factor in (1, early, 0.5, 1 - early):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.005 * factor, 0.01 * factor])
        schedule.step()


def test_layers_of_one_rate_are_one_group_and_the_head_is_in_the_last() -> None:
    config = shrunk(train__optimizer__learning_rate=1.0).train.optimizer
    layers = [nn.Linear(size, 1) for size in range(1, 5)]
    plan = [LayerPlan(rate) for rate in (1.0, 0.5, 0.5, 1.0)]
    groups = build_optimizer(layers, plan, config).param_groups
    assert [group["lr"] for group in groups] == [1.0, 0.5, 1.0]
    assert [len(group["params"]) for group in groups] == [2, 4, 2]
    assert groups[-1]["params"][0] is layers[-1].weight


def test_every_optimizer_value_reaches_the_optimizer() -> None:
    def group(**changes: Any) -> dict[str, Any]:
        config = shrunk(
            **{f"train__optimizer__{key}": value for key, value in changes.items()}
        ).train
        optimizer = build_optimizer([nn.Linear(2, 2)], [LayerPlan()], config.optimizer)
        return optimizer.param_groups[0]

    sgd = group(name="sgd", momentum=0.8, nesterov=False)
    assert (sgd["momentum"], sgd["nesterov"]) == (0.8, False)
    assert group(name="sgd", momentum=0.8, nesterov=True)["nesterov"]
    assert not group(name="sgd", momentum=0.0, nesterov=True)[
        "nesterov"
    ]  # there is none to look at
    adam = group(name="adam", betas=[0.7, 0.9], epsilon=1e-7)
    assert (adam["betas"], adam["eps"]) == ((0.7, 0.9), 1e-7)


def test_decay_is_decoupled_in_adamw_only() -> None:
    """Without a gradient AdamW shrinks a weight by rate times decay; Adam takes a whole step."""
    moved = {}
    for name in ("adam", "adamw"):
        config = shrunk(
            train__optimizer__name=name,
            train__optimizer__weight_decay=0.5,
            train__optimizer__learning_rate=0.01,
        ).train
        layer = nn.Linear(1, 1)
        nn.init.ones_(layer.weight)
        layer.weight.grad = torch.zeros_like(layer.weight)
        build_optimizer([layer], [LayerPlan()], config.optimizer).step()
        moved[name] = 1 - layer.weight.item()
    assert moved == {"adamw": pytest.approx(0.005), "adam": pytest.approx(0.01)}
