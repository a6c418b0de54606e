"""Lay the recipes side by side: one table, one picture."""

import pandas as pd

from src import paths
from src.command import run
from src.errors import UserError
from src.evaluation.recipes import as_markdown, compare, write_comparison


def main() -> None:
    if not paths.RECIPE_RESULTS.is_dir():
        raise UserError(f"{paths.RECIPE_RESULTS}: not found; `dvc repro recipes/dvc.yaml` makes it")
    results = [pd.read_csv(path) for path in sorted(paths.RECIPE_RESULTS.glob("*.csv"))]
    table = compare(pd.concat(results), pd.read_csv(paths.PUBLISHED_FIGURES))
    print(as_markdown(table))
    write_comparison(table, paths.RECIPES)


if __name__ == "__main__":
    run(main)
