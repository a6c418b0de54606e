"""The published recipes side by side: their results with several seeds."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.ticker import PercentFormatter

from src.core.files import write_text
from src.core.plots import blank, save_figure
from src.core.stats import wilson
from src.core.tables import write_csv
from src.recipes.recipe import Row


def in_words(row: Row) -> str:
    low, high = wilson(row.correct, row.n)
    took = f", {row.seconds:.0f} s" if row.alone else ""
    return (
        f"{row.recipe} seed {row.seed}: test accuracy {row.accuracy:.2%} "
        f"({low:.2%} to {high:.2%}){took}"
    )


def in_numbers(row: Row) -> dict[str, object]:
    """The row, its accuracy, and the 95 % interval of that."""
    low, high = wilson(row.correct, row.n)
    return {**asdict(row), "accuracy": row.accuracy, "accuracy_lo": low, "accuracy_hi": high}


def write_results(rows: Sequence[Row], path: Path) -> None:
    """A row per seed."""
    write_csv(pd.DataFrame([asdict(row) for row in rows]), path)


def compare(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """A row per recipe, from rows per seed: means, intervals, and the published script's figures.

    accuracy_lo and accuracy_hi bound the 95 % Wilson interval of the mean accuracy on the test
    images; accuracy_std is the standard deviation over the seeds. Times are
    NaN where not every training had the machine to itself (alone).
    """
    rows = []
    for recipe, runs in results.assign(accuracy=results["correct"] / results["n"]).groupby(
        "recipe"
    ):
        low, high = wilson(round(runs["correct"].mean()), runs["n"].iloc[0])
        rows.append(
            {
                "recipe": recipe,
                "parameters": runs["parameters"].iloc[0],
                "epochs": runs["epochs"].max(),
                "seeds": len(runs),
                "alone": runs["alone"].all(),
                "accuracy": runs["accuracy"].mean(),
                "accuracy_std": runs["accuracy"].std(),
                "accuracy_lo": low,
                "accuracy_hi": high,
                "seconds_per_epoch": runs["seconds_per_epoch"].median(skipna=False),
                "seconds": runs["seconds"].mean(skipna=False),
            }
        )
    table = pd.DataFrame(rows).merge(published, on="recipe", how="left")
    return table.fillna({"network": ""})


def as_markdown(table: pd.DataFrame) -> str:
    """The table for people."""
    published = [
        "" if math.isnan(accuracy) else f"{accuracy:.2%}, {seconds:.1f} s"
        for accuracy, seconds in zip(
            table["published_accuracy"], table["published_seconds_per_epoch"], strict=True
        )
    ]
    means = zip(table["accuracy"], table["accuracy_lo"], table["accuracy_hi"], strict=True)
    shown = {
        "recipe": table["recipe"],
        "network": table["network"],
        "parameters": table["parameters"].map("{:,}".format),
        "epochs": table["epochs"],
        "test accuracy, mean (95 % interval)": [
            f"{mean:.2%} ({low:.2%} to {high:.2%})" for mean, low, high in means
        ],
        "standard deviation over seeds": table["accuracy_std"].map("{:.2%}".format),
        "seconds per epoch": [
            "" if math.isnan(seconds) else f"{seconds:.1f}"
            for seconds in table["seconds_per_epoch"]
        ],
        "published script, time per epoch": published,
    }
    return f"{pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True)}\n"


def write_comparison(table: pd.DataFrame, folder: Path) -> None:
    """The table as CSV and Markdown, and the picture of it."""
    write_csv(table, folder / "table.csv")
    write_text(as_markdown(table), folder / "table.md")
    draw_recipes(table, folder / "table.svg")


def draw_recipes(table: pd.DataFrame, path: Path) -> None:
    """Test accuracy with its interval (left), beside the published one, and time (right)."""
    figure = blank(9, 0.5 * len(table) + 1, "Test accuracy and time per epoch of each recipe")
    accuracy, speed = figure.subplots(1, 2, sharey=True)
    rows = range(len(table))
    below = table["accuracy"] - table["accuracy_lo"]
    above = table["accuracy_hi"] - table["accuracy"]
    accuracy.errorbar(
        table["accuracy"], rows, xerr=[below, above], fmt="o", capsize=4, label="here"
    )
    accuracy.plot(table["published_accuracy"], rows, "x", color="C1", label="published script")
    accuracy.set(title="test accuracy, mean of the seeds, 95 % interval")
    accuracy.set_yticks(rows, table["recipe"])
    accuracy.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    accuracy.locator_params(axis="x", nbins=6)
    accuracy.grid(visible=False, axis="y")
    speed.grid(visible=False, axis="y")
    accuracy.legend()
    speed.barh(rows, table["seconds_per_epoch"])
    speed.plot(table["published_seconds_per_epoch"], rows, "x", color="C1")
    speed.set(title="seconds per epoch")
    speed.invert_yaxis()
    save_figure(figure, path)
