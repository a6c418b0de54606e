import math
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from src.config.networks import ModelConfig
from src.config.params import Params
from src.core.stats import wilson
from src.data.checks import load_params
from src.data.imageset import load_images
from src.data.splits import Splits
from src.models.build import assemble
from src.recipes.recipe import Recipe, as_rows, obtain_splits, write_image_sets
from src.recipes.table import as_markdown, compare, in_words, write_comparison, write_results
from src.training.jobs import run_job
from src.training.result import Result
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
    assert (model.activation, model.pool, model.pool_size, model.strides) == ("relu", "max", 2, ())
    assert (optimizer.weight_decay, optimizer.nesterov, optimizer.betas) == (0, False, (0.9, 0.999))
    assert (train.schedule.name, train.label_smoothing, train.clip_norm) == ("constant", 0, None)
    assert {*train.augment.model_dump().values()} == {0}
    assert (train.patience, train.keep_best) == (None, False)


def results(few: Splits) -> dict[str, Result]:
    images = {f"source.{name}": data for name, data in few._asdict().items()}
    return {name: run_job(job, images) for name, job in small().jobs().items()}


def test_a_recipe_is_trained_and_compared_with_what_was_published(
    tmp_path: Path, few: Splits
) -> None:
    trained = results(few._replace(test=few.test.subset(torch.arange(60))))
    alone = {name: replace(result, alone=True) for name, result in trained.items()}
    rows = as_rows("article-000", small(), alone, 400) + as_rows("own", small(), trained, 400)
    assert [row.seed for row in rows] == [0, 1, 2] * 2
    assert all(row.n == 60 and row.epochs == 2 for row in rows)
    first_epoch = 400 / alone["seed-0"].fit.epochs[0].images_per_second
    assert 0.2 < rows[0].seconds_per_epoch / first_epoch < 5
    assert rows[0].seconds > 2 * rows[0].seconds_per_epoch
    write_results(rows, tmp_path / "results.csv")
    table = compare(
        pd.read_csv(tmp_path / "results.csv"), pd.read_csv(ROOT / "recipes/published.csv")
    )
    first, own = table.iloc[0], table.iloc[1]
    correct = sum(row.correct for row in rows[:3]) / 3
    assert first["accuracy"] == own["accuracy"] == pytest.approx(correct / 60)
    assert (first["accuracy_lo"], first["accuracy_hi"]) == wilson(round(correct), 60)
    assert first["published_accuracy"] == 0.9872
    assert pd.isna(own["published_accuracy"])
    write_comparison(table, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["article-000", "own"]
    assert "98.72%" in lines[0]
    assert "nan" not in lines[1]
    assert {path.name for path in tmp_path.iterdir()} >= {"table.csv", "table.md", "table.svg"}


def test_epochs_are_timed_only_where_a_training_is_alone(few: Splits) -> None:
    trained = results(few)
    one = {**trained, "seed-1": replace(trained["seed-1"], alone=True)}
    rows = as_rows("own", small(), one, 400)
    assert [row.alone for row in rows] == [False, True, False]
    assert [math.isnan(row.seconds) for row in rows] == [True, False, True]
    assert "s" not in in_words(rows[0]).split(")")[-1]
    table = compare(pd.DataFrame(map(asdict, rows)), pd.read_csv(ROOT / "recipes/published.csv"))
    assert not table["alone"].iloc[0]
    assert pd.isna(table["seconds_per_epoch"].iloc[0])
    assert as_markdown(table).splitlines()[2].split("|")[7].strip() == ""


def test_the_image_sets_are_the_recipes_own(tmp_path: Path) -> None:
    splits = obtain_splits(small(), tmp_path / "downloads")
    written = write_image_sets(splits, tmp_path / "images")
    sizes = {name: len(load_images(path)) for name, path in written.items()}
    assert sizes == {"source.train": 3600, "source.val": 400, "source.test": 1000}
