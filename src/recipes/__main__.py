"""Train the recipes with several seeds each, test every model once, compare them in a table."""

import argparse
from collections.abc import Hashable
from contextlib import nullcontext
from pathlib import Path

from src.core import paths
from src.core.cli import Parser, Workers, one_of, run
from src.core.terminal import wrapped


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.recipes",
        description=f"{__doc__} Without a name, all of them are trained, one after the other, and "
        "the table and the picture in recipes/ are made from all results. It can be interrupted at "
        "any time: the same command continues.",
    )
    known = sorted({path.stem for path in paths.RECIPES.glob("*.yaml")} - {"dvc"})
    parser.add_argument(
        "name", nargs="?", type=one_of(known), metavar="NAME", help=", ".join(known)
    )
    parser.add_argument(
        "--table", action="store_true", help="train nothing, compare the results that are there"
    )
    parser.add_workers(
        "with runtime.threads threads each; epochs are timed with 1 only, on this machine", "1"
    )
    parser.add_json()
    arguments = parser.parse_args()
    if arguments.name and arguments.table:
        parser.error("--table: compares all recipes, so it takes no name")
    arguments.names = [arguments.name] if arguments.name else [] if arguments.table else known
    return arguments


def _recipes(arguments: argparse.Namespace) -> dict[str, object]:
    workers = Workers.of(arguments, default=1)
    trained = [row for name in arguments.names for row in _train(name, workers)]
    compared = [] if arguments.name else _compare(bool(trained))
    written = [str(paths.RECIPE_RESULTS / f"{name}.csv") for name in arguments.names]
    written += [str(paths.RECIPES / "table.csv")] if compared else []
    print(wrapped(f"written to {', '.join(written)}"))
    return {"trainings": trained, "recipes": compared, "written": written}


def _train(name: str, workers: Workers) -> list[dict[str, object]]:
    # Imported here, so that --help is fast.
    from tempfile import TemporaryDirectory

    from src.data.checks import load_params
    from src.execution.trainings import Description, trainings
    from src.recipes.recipe import Recipe, as_rows, obtain_splits, write_image_sets
    from src.recipes.table import in_numbers, in_words, write_results
    from src.tracking.store import RECIPES

    recipe = load_params(Recipe, paths.RECIPES / f"{name}.yaml")
    splits = obtain_splits(recipe, paths.downloads())
    with TemporaryDirectory() as folder:
        images = write_image_sets(splits, Path(folder))
        description = Description(RECIPES, name, recipe.model_dump(), images, timed=True)
        with trainings(description, recipe.runtime, workers) as study:
            results = study.run(recipe.jobs())
            rows = as_rows(name, recipe, results, len(splits.train))
            words = "\n".join(map(in_words, rows))
            print(words)
            study.record.note(f"```\n{words}\n```")
    write_results(rows, paths.RECIPE_RESULTS / f"{name}.csv")
    return [in_numbers(row) for row in rows]


def _compare(trained: bool) -> list[dict[Hashable, object]]:
    import pandas as pd

    from src.core.console import tables
    from src.core.errors import UserError
    from src.pages.studies import write_study
    from src.recipes.table import as_markdown, compare, write_comparison
    from src.tracking.runs import track_once
    from src.tracking.store import RECIPES

    results = [pd.read_csv(path) for path in sorted(paths.RECIPE_RESULTS.glob("*.csv"))]
    if not results:
        raise UserError(f"{paths.RECIPE_RESULTS}: has no results; python -m src.recipes makes them")
    if not paths.PUBLISHED_FIGURES.exists():
        raise UserError(f"{paths.PUBLISHED_FIGURES}: not found; it is in the repository")
    table = compare(pd.concat(results), pd.read_csv(paths.PUBLISHED_FIGURES))
    print(tables(as_markdown(table)))
    write_comparison(table, paths.RECIPES)
    # Without a training, MLflow is not needed.
    with track_once(RECIPES, "comparison") if trained else nullcontext() as record:
        write_study(RECIPES, record)
    return table.to_dict("records")


def main() -> None:
    arguments = _arguments()
    run(lambda: _recipes(arguments), arguments.json)


if __name__ == "__main__":
    main()
