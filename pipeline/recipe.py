"""Train a recipe, `python -m pipeline.recipe NAME`, with several seeds; test each model once."""

import sys

from src import paths
from src.command import run
from src.config.data import DataConfig
from src.config.model import ModelConfig
from src.config.params import load
from src.config.runtime import RuntimeConfig
from src.config.section import Section, Seed
from src.config.train import TrainConfig
from src.errors import UserError
from src.evaluation.recipes import in_words, write_results
from src.runtime import describe, set_up
from src.tracking.families import track_family
from src.tracking.store import RECIPES
from src.training.console import Console
from src.training.recipes import obtain_splits, try_out

SEEDS = 3


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig


def _name() -> str:
    known = sorted({path.stem for path in paths.RECIPES.glob("*.yaml")} - {"dvc"})
    if len(sys.argv) == 2 and sys.argv[1] in known:
        return sys.argv[1]
    raise UserError(f"python -m pipeline.recipe NAME: should name one of {', '.join(known)}")


def main() -> None:
    recipe = _name()
    params, results = load(Params, paths.RECIPES / f"{recipe}.yaml"), []
    with track_family(RECIPES, recipe, params.model_dump()) as family:
        device = set_up(params.runtime)
        family.parent.tags(describe(device))
        splits = obtain_splits(params.data, params.seed, paths.downloads(), device)
        for seed in range(params.seed, params.seed + SEEDS):
            with (
                family.child(f"seed-{seed}") as tracked,
                Console(f"seed {seed}", params.train.epochs, len(splits.train)) as console,
            ):
                told = [console, tracked]
                result = try_out(recipe, params.model, params.train, splits, seed, told)
                tracked.metrics({"test_accuracy": result.accuracy, "seconds": result.seconds})
            results.append(result)
            print(in_words(result))
    write_results(results, paths.RECIPE_RESULTS / f"{recipe}.csv")


if __name__ == "__main__":
    run(main)
