"""Train the recipes with several seeds each, test every model once, compare them in a table."""

import argparse

from src.core import paths
from src.core.cli import Parser, run

SEEDS = 3


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.recipes",
        description=f"{__doc__} Without a name, all of them are trained, one after the other, and "
        "the table and the picture in recipes/ are made from all results.",
    )
    known = sorted({path.stem for path in paths.RECIPES.glob("*.yaml")} - {"dvc"})
    parser.add_argument("name", nargs="?", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument(
        "--table", action="store_true", help="train nothing, compare the results that are there"
    )
    arguments = parser.parse_args()
    if arguments.name and arguments.table:
        parser.error("--table: compares all recipes, so it takes no name")
    arguments.names = [arguments.name] if arguments.name else [] if arguments.table else known
    return arguments


def _recipes(arguments: argparse.Namespace) -> None:
    for name in arguments.names:
        _train(name)
    if not arguments.name:
        _compare()


def _train(recipe: str) -> None:
    # Imported only now: --help need not wait for them.
    from src.config.networks import ModelConfig
    from src.config.sections import DataConfig, RuntimeConfig, Section, Seed, TrainConfig
    from src.core.console import Console
    from src.core.runtime import describe, set_up
    from src.data.checks import load_params
    from src.recipes.recipe import obtain_splits, try_out
    from src.recipes.table import in_words, write_results
    from src.tracking.nested import track_family
    from src.tracking.store import RECIPES

    class Params(Section):
        seed: Seed
        runtime: RuntimeConfig
        data: DataConfig
        model: ModelConfig
        train: TrainConfig

    params, results = load_params(Params, paths.RECIPES / f"{recipe}.yaml"), []
    with track_family(RECIPES, recipe, params.model_dump()) as family:
        device = set_up(params.runtime.device, params.runtime.threads)
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


def _compare() -> None:
    import pandas as pd

    from src.core.errors import UserError
    from src.recipes.table import as_markdown, compare, write_comparison

    if not paths.RECIPE_RESULTS.is_dir():
        raise UserError(f"{paths.RECIPE_RESULTS}: not found; python -m src.recipes makes it")
    results = [pd.read_csv(path) for path in sorted(paths.RECIPE_RESULTS.glob("*.csv"))]
    table = compare(pd.concat(results), pd.read_csv(paths.PUBLISHED_FIGURES))
    print(as_markdown(table))
    write_comparison(table, paths.RECIPES)


def main() -> None:
    arguments = _arguments()
    run(lambda: _recipes(arguments))


if __name__ == "__main__":
    main()
