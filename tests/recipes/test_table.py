from pathlib import Path

import pandas as pd
import pytest
import torch

from src.config.networks import ModelConfig
from src.config.params import Params
from src.core.stats import wilson
from src.data.checks import load_params
from src.data.splits import Splits
from src.models.build import assemble
from src.recipes.recipe import Recipe, train_recipe
from src.recipes.table import compare, write_comparison, write_results
from tests.conftest import ROOT, shrunk

RECIPES = sorted(ROOT.glob("recipes/*.yaml"))
RECIPES.remove(ROOT / "recipes/dvc.yaml")


def small() -> Recipe:
    sections = shrunk().model_dump()
    return Recipe.model_validate({name: sections[name] for name in Recipe.model_fields})


def parameters(config: ModelConfig) -> int:
    model = assemble(config, (1, 28, 28), 10, [0.0], [1.0])
    return sum(weights.numel() for weights in model.parameters())


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        ("article-000", 320 + (13 * 13 * 32 + 1) * 128 + 1290),
        ("article-001", 156 + 2416 + (256 + 1) * 120 + (120 + 1) * 84 + 850),
        ("article-002", 320 + 18_496 + (5 * 5 * 64 + 1) * 128 + 1290),
        ("article-003", 320 + 18_496 + (5 * 5 * 64 + 1) * 10),
        ("article-004", 832 + 51_264 + (4 * 4 * 64 + 1) * 128 + 1290),
    ],
)
def test_the_networks_have_the_articles_sizes(recipe: str, count: int) -> None:
    """By layer: of a convolution, of dense layers, of the output layer."""
    assert parameters(load_params(Params, ROOT / f"recipes/{recipe}.yaml").model) == count


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_the_pipelines_parameters(path: Path) -> None:
    params = load_params(Params, path)
    assert params.data.source == "mnist"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ("article-000", ("unit", "glorot", 10, 128, "adam", 0.001, 0.0, 1e-7)),
        ("article-001", ("symmetric", "fan_in", 10, 64, "sgd", 0.001, 0.9, 1e-8)),
        ("article-002", ("unit", "glorot", 10, 128, "adam", 0.001, 0.0, 1e-7)),
        ("article-003", ("unit", "glorot", 5, 32, "adam", 0.001, 0.0, 1e-7)),
        ("article-004", ("unit", "glorot", 10, 64, "sgd", 0.01, 0.0, 1e-7)),
    ],
)
def test_the_settings_are_those_of_the_article(recipe: str, told: tuple[object, ...]) -> None:
    params = load_params(Params, ROOT / f"recipes/{recipe}.yaml")
    model, train, optimizer = params.model, params.train, params.train.optimizer
    assert told == (
        model.normalisation,
        model.initialisation,
        train.epochs,
        train.batch_size,
        optimizer.name,
        optimizer.learning_rate,
        optimizer.momentum,
        optimizer.epsilon,
    )
    # Nothing that the articles do not have.
    assert model.name == "cnn"
    assert (model.batch_norm, model.dropout, model.padding) == (False, 0, "valid")
    assert (model.activation, model.pool, model.pool_size) == ("relu", "max", 2)
    assert (optimizer.weight_decay, optimizer.nesterov, optimizer.betas) == (0, False, (0.9, 0.999))
    assert (train.schedule.name, train.label_smoothing, train.clip_norm) == ("constant", 0, None)
    assert {*train.augment.model_dump().values()} == {0}
    assert (train.patience, train.keep_best) == (None, False)


def test_a_recipe_is_trained_and_compared_with_what_was_published(
    tmp_path: Path, few: Splits
) -> None:
    recipe = small()
    few = few._replace(test=few.test.subset(torch.arange(60)))
    results = [
        train_recipe(name, recipe, few, seed, [])
        for name in ("article-000", "own")
        for seed in (0, 1)
    ]
    assert [result.seed for result in results] == [0, 1, 0, 1]
    assert all(result.n == 60 and result.epochs == 2 for result in results)
    write_results(results, tmp_path / "results.csv")
    table = compare(
        pd.read_csv(tmp_path / "results.csv"), pd.read_csv(ROOT / "recipes/published.csv")
    )
    first, own = table.iloc[0], table.iloc[1]
    assert first["accuracy"] == pytest.approx((results[0].accuracy + results[1].accuracy) / 2)
    both = results[0].correct + results[1].correct
    assert (first["accuracy_lo"], first["accuracy_hi"]) == wilson(round(both / 2), 60)
    assert first["published_accuracy"] == 0.9872
    assert pd.isna(own["published_accuracy"])
    write_comparison(table, tmp_path)
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["article-000", "own"]
    assert "98.72%" in rows[0]
    assert "nan" not in rows[1]
    assert {path.name for path in tmp_path.iterdir()} >= {"table.csv", "table.md", "table.png"}


def test_the_seed_decides_a_result(few: Splits) -> None:
    recipe = small()

    def correct(seed: int) -> int:
        torch.manual_seed(seed)  # which must not matter
        return train_recipe("x", recipe, few, 3, []).correct

    assert correct(0) == correct(1)
