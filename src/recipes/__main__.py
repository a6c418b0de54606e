"""Train the recipes with several seeds each, test every model once, compare them in a table."""

import argparse

from src.core import paths
from src.core.cli import Parser, one_of, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.recipes",
        description=f"{__doc__} Without a name, all of them are trained, one after the other, and "
        "the table and the picture in recipes/ are made from all results.",
    )
    known = sorted({path.stem for path in paths.RECIPES.glob("*.yaml")} - {"dvc"})
    parser.add_argument(
        "name", nargs="?", type=one_of(known), metavar="NAME", help=", ".join(known)
    )
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


def _train(name: str) -> None:
    # Imported here, so that --help is fast.
    from src.core.console import Console
    from src.core.runtime import describe, set_up
    from src.data.checks import load_params
    from src.recipes.recipe import Recipe, obtain_splits, train_recipe
    from src.recipes.table import in_words, write_results
    from src.tracking.nested import track_parent
    from src.tracking.store import RECIPES

    recipe, results = load_params(Recipe, paths.RECIPES / f"{name}.yaml"), []
    with track_parent(RECIPES, name, recipe.model_dump()) as parent:
        device = set_up(recipe.runtime.device, recipe.runtime.threads)
        parent.tags(describe(device))
        splits = obtain_splits(recipe, paths.downloads(), device)
        for seed in recipe.seeds:
            with (
                parent.child(f"seed-{seed}") as tracked,
                Console(f"seed {seed}", recipe.train.epochs, len(splits.train)) as console,
            ):
                result = train_recipe(name, recipe, splits, seed, [console, tracked])
                tracked.metrics({"test_accuracy": result.accuracy, "seconds": result.seconds})
            results.append(result)
            print(in_words(result))
    write_results(results, paths.RECIPE_RESULTS / f"{name}.csv")


def _compare() -> None:
    import pandas as pd

    from src.core.errors import UserError
    from src.recipes.table import as_markdown, compare, write_comparison

    results = [pd.read_csv(path) for path in sorted(paths.RECIPE_RESULTS.glob("*.csv"))]
    if not results:
        raise UserError(f"{paths.RECIPE_RESULTS}: has no results; python -m src.recipes makes them")
    if not paths.PUBLISHED_FIGURES.exists():
        raise UserError(f"{paths.PUBLISHED_FIGURES}: not found; it is in the repository")
    table = compare(pd.concat(results), pd.read_csv(paths.PUBLISHED_FIGURES))
    print(as_markdown(table))
    write_comparison(table, paths.RECIPES)


def main() -> None:
    arguments = _arguments()
    run(lambda: _recipes(arguments))


if __name__ == "__main__":
    main()
